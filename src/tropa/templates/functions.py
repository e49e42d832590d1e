"""The functions that a template may call: Go's, and those that model templates have besides."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

from tropa.templates.encode import encode
from tropa.templates.errors import Failure
from tropa.templates.printf import sprintf
from tropa.templates.quoting import from_bytes, size, to_bytes
from tropa.templates.show import joined, show, spaced
from tropa.templates.values import (
    Entries,
    Items,
    Kind,
    Typed,
    equal,
    kind,
    less,
    less_or_equal,
    truth,
    type_name,
)

_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"})
_JS = {"'": "\\'", '"': '\\"', "\\": "\\\\"}
_JS_UNSAFE = re.compile(r"""['"\\<>=&]|[^ -~]""")


@dataclass(frozen=True, slots=True)
class Function:
    """`call` gets the arguments evaluated, None for nil. `most` None: any number."""

    call: Callable[[list[Any]], object]
    least: int
    most: int | None
    text_first: bool = False
    """The first argument must be a string."""
    deep: bool = False
    """It looks at all that is inside its arguments."""


def _len(values: list[Any]) -> int:
    [value] = values
    match kind(value):
        case Kind.STRING:
            return size(value)
        case Kind.LIST | Kind.MAP | Kind.BYTES:
            return len(value)
        case Kind.NIL:
            raise Failure("len of nil pointer")
    raise Failure(f"len of type {type_name(value)}")


def _index(values: list[Any]) -> object:
    value, *keys = values
    if value is None:
        raise Failure("index of untyped nil")
    for key in keys:
        value = _item(value, key)
    return value


def _item(value: Any, key: Any) -> object:
    match kind(value):
        case Kind.NIL:
            raise Failure("index of nil pointer")
        case Kind.MAP:
            return _entry(value, key)
        case Kind.LIST | Kind.BYTES:
            at = _position(key, len(value))
            if at == len(value):
                raise Failure("reflect: slice index out of range")
            return value[at]
        case Kind.STRING:
            data = to_bytes(value)
            at = _position(key, len(data))
            if at == len(data):
                raise Failure("reflect: string index out of range")
            return data[at]
    raise Failure(f"can't index item of type {type_name(value)}")


def _entry(value: dict[str, object], key: object) -> object:
    if key is None:
        raise Failure("value is nil; should be of type string")
    if not isinstance(key, str):
        raise Failure(f"value has type {type_name(key)}; should be string")
    if key in value:
        return value[key]
    return value.missing() if isinstance(value, Entries) else None


def _position(key: object, end: int) -> int:
    if key is None:
        raise Failure("cannot index slice/array with nil")
    if type(key) is not int:
        raise Failure(f"cannot index slice/array with type {type_name(key)}")
    if not 0 <= key <= end:
        raise Failure(f"index out of range: {key}")
    return key


def _slice(values: list[Any]) -> object:
    value, *ends = values
    if value is None:
        raise Failure("slice of untyped nil")
    if len(ends) > 3:
        raise Failure(f"too many slice indexes: {len(ends)}")
    what = kind(value)
    if what is Kind.STRING:
        if len(ends) == 3:
            raise Failure("cannot 3-index slice a string")
        if value.isascii():
            return value[_bounds(ends, len(value))]
        data = to_bytes(value)
        return from_bytes(data[_bounds(ends, len(data))])
    if what not in (Kind.LIST, Kind.BYTES):
        raise Failure(f"can't slice item of type {type_name(value)}")
    part = value[_bounds(ends, len(value))]
    return type(value)(part) if isinstance(value, Items) else part


def _bounds(ends: list[Any], size: int) -> slice:
    marks = [_position(end, size) for end in ends]
    low, high, *rest = [*marks, *[0, size][len(marks) :]]
    for before, after in ((low, high), (high, *rest) if rest else (0, 0)):
        if before > after:
            raise Failure(f"invalid slice index: {before} > {after}")
    return slice(low, high)


def _call(values: list[Any]) -> object:
    """There are no functions among the values that a template can see."""
    if values[0] is None:
        raise Failure("call of nil")
    raise Failure(f"non-function of type {type_name(values[0])}")


def _js_escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char in _JS:
        return _JS[char]
    if char.isprintable() and char not in "<>=&":
        return char
    return f"\\u{ord(char):04X}"


def _day(back: int) -> Callable[[list[Any]], str]:
    def day(values: list[Any]) -> str:
        for value in values:
            if not isinstance(value, str):
                raise Failure(f"wrong type for value; expected string; got {type_name(value)}")
        return (dt.datetime.now().astimezone() - dt.timedelta(days=back)).strftime("%Y-%m-%d")

    return day


def _type_script(values: list[Any]) -> str:
    [value] = values
    if value is None:
        return "any"
    if not isinstance(value, Typed):
        raise Failure(f"wrong type for value; expected api.ToolProperty; got {type_name(value)}")
    return value.type_script()


FUNCTIONS: dict[str, Function] = {
    "and": Function(lambda values: values[-1], 1, None),  # these two are evaluated by the interpreter,
    "or": Function(lambda values: values[-1], 1, None),  # which stops at the operand that decides
    "not": Function(lambda values: not truth(values[0]), 1, 1),
    "eq": Function(lambda values: equal(values[0], values[1:]), 1, None),
    "ne": Function(lambda values: not equal(values[0], values[1:]), 2, 2),
    "lt": Function(lambda values: less(*values), 2, 2),
    "le": Function(lambda values: less_or_equal(*values), 2, 2),
    "gt": Function(lambda values: not less_or_equal(*values), 2, 2),
    "ge": Function(lambda values: not less(*values), 2, 2),
    "len": Function(_len, 1, 1),
    "index": Function(_index, 1, None),
    "slice": Function(_slice, 1, None),
    "print": Function(spaced, 0, None, deep=True),
    "println": Function(lambda values: " ".join(map(show, values)) + "\n", 0, None, deep=True),
    "printf": Function(lambda values: sprintf(values[0], values[1:]), 1, None, text_first=True, deep=True),
    "html": Function(lambda values: joined(values).translate(_HTML), 0, None, deep=True),
    "js": Function(lambda values: _JS_UNSAFE.sub(_js_escaped, joined(values)), 0, None, deep=True),
    "urlquery": Function(lambda values: quote_plus(to_bytes(joined(values))), 0, None, deep=True),
    "call": Function(_call, 1, None),
    "json": Function(lambda values: encode(values[0]), 1, 1, deep=True),
    "currentDate": Function(_day(0), 0, None),
    "yesterdayDate": Function(_day(1), 0, None),
    "toTypeScriptType": Function(_type_script, 1, 1),
}
