"""What a template computes with, in Go's terms: kinds, types, truth, nil, comparison.

Values are None, bool, int (64 bits), float, str, bytes, lists, dicts with text keys, and the views that
`views.py` makes of messages and tools. Nothing else is ever looked into, and no attribute of any Python object
can be reached: a field is a key of a dict, or a name that a view lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, ClassVar, Final

from tropa.templates.errors import Failure


class Nothing(Enum):
    """No value at all, where a nil would still be of some type: a field of it is nothing again."""

    NOTHING = "nothing"

    def __bool__(self) -> bool:
        return False


NOTHING: Final = Nothing.NOTHING


class Exact(float):
    """A JSON integer that a float can't hold to the last digit; JSON shows it whole."""

    exact: int

    @classmethod
    def of(cls, value: int) -> Exact:
        try:
            made = cls(value)
        except OverflowError:
            made = cls("inf" if value > 0 else "-inf")
        made.exact = value
        return made


class View:
    """A value with a Go type of its own, and perhaps methods."""

    TYPE: ClassVar[str] = "interface {}"
    METHODS: ClassVar[Mapping[str, Callable[[Any], object]]] = {}

    def shown(self) -> str | None:
        """What its `String` method says; None if it has none."""
        return None

    def plain(self) -> object:
        """What its JSON is made of: texts, numbers, lists, and dicts in the order in which they are written."""
        return self


class Struct(View):
    """A view with a fixed set of fields."""

    POINTER: ClassVar[bool] = False
    COMPARABLE: ClassVar[bool] = False

    @property
    def fields(self) -> Mapping[str, object]:
        """All of them, in order."""
        return {}


class Typed(Struct):
    """A struct that describes a type, as the properties of a tool's parameters do."""

    def type_script(self) -> str:
        raise NotImplementedError


class Items(list[Any], View):
    """A list of values of one type."""


class Entries(dict[str, Any], View):
    """A map with values of one type."""

    def missing(self) -> object:
        """What stands for a key that is not there."""
        return None


class Kind(Enum):
    BOOL = "bool"
    INT = "int"
    FLOAT = "float64"
    STRING = "string"
    BYTES = "[]uint8"
    LIST = "[]interface {}"
    MAP = "map[string]interface {}"
    STRUCT = "struct"
    NIL = "<nil>"


_KINDS: dict[type, Kind] = {
    bool: Kind.BOOL, int: Kind.INT, float: Kind.FLOAT, str: Kind.STRING, bytes: Kind.BYTES,
    list: Kind.LIST, tuple: Kind.LIST, dict: Kind.MAP, type(None): Kind.NIL, Nothing: Kind.NIL,
    Struct: Kind.STRUCT,
}  # fmt: skip
BASIC = frozenset({Kind.BOOL, Kind.INT, Kind.FLOAT, Kind.STRING})


def kind(value: object) -> Kind:
    """Raises TypeError for what is no value of a template: that is a bug of whoever made the data."""
    return _KINDS.get(type(value)) or _derived(type(value))


def _derived(derived: type) -> Kind:
    """Of a view, remembered; there are no more of them than classes in this part."""
    for base in (str, float, list, dict, Struct):
        if issubclass(derived, base):
            found = _KINDS[derived] = _KINDS[base]
            return found
    raise TypeError(f"{derived.__name__} is no value of a template")


def type_name(value: object) -> str:
    return value.TYPE if isinstance(value, View) else kind(value).value


def weight(value: object) -> int:
    """How many elements whoever looks at all of a value has to look at. Views are looked at as the text they make."""
    count, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, (list, tuple, dict)) and not isinstance(each, View):
            count += len(each)
            waiting.extend(each.values() if isinstance(each, dict) else each)
    return count


def truth(value: object) -> bool:
    """False for false, zero, nil, and what is empty."""
    return bool(value)


def equal(first: object, others: list[Any]) -> bool:
    """Whether `first` equals any of the others; stops at the first that it does."""
    if not others:
        raise Failure("missing argument for comparison")
    one = kind(first)
    for other in others:
        two = kind(other)
        if one in BASIC or two in BASIC:
            if one is two:
                if first == other:
                    return True
            elif one is not Kind.NIL and two is not Kind.NIL:
                raise _incompatible(one, two)
        elif _same(first, one, other, two):
            return True
    return False


def _incompatible(one: Kind, two: Kind) -> Failure:
    return Failure(f"incompatible types for comparison: {one.value} and {two.value}")


def _same(first: object, one: Kind, other: object, two: Kind) -> bool:
    """Of values that no operator orders."""
    if Kind.NIL in (one, two):
        return one is two
    if (one in (Kind.LIST, Kind.BYTES)) != (two in (Kind.LIST, Kind.BYTES)) or (one is Kind.MAP) != (
        two is Kind.MAP
    ):
        raise Failure(
            f"non-comparable types {_told(first)}: {type_name(first)}, {type_name(other)}: {_told(other)}"
        )
    if not (isinstance(other, Struct) and other.COMPARABLE):
        raise Failure(f"non-comparable type {_told(other)}: {type_name(other)}")
    return first is other


def _told(value: object) -> str:
    from tropa.templates.show import show

    return show(value)


def less(first: Any, second: Any) -> bool:
    one, two = kind(first), kind(second)
    if one not in BASIC or two not in BASIC:
        raise Failure("invalid type for comparison")
    if one is not two:
        raise _incompatible(one, two)
    if one is Kind.BOOL:
        raise Failure("invalid type for comparison")
    return bool(first < second)


def less_or_equal(first: Any, second: Any) -> bool:
    return less(first, second) or equal(first, [second])
