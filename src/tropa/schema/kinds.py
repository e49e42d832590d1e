"""What a value may be: one of several kinds, each with its limits. What two say together is their `meet`.

Parts of lists and objects are named, not held: a `Both` is a handful of numbers of schemas, all of which the part has
to fit. So a schema that contains itself is no different from others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from tropa.schema.numerals import Limits

Both = tuple[int, ...]
"""Schemas (by number, sorted) that hold together. None: anything goes."""
NEVER: Both = (0,)
FREE = Limits()


@dataclass(frozen=True, slots=True)
class Null:
    pass


@dataclass(frozen=True, slots=True)
class Truth:
    values: tuple[bool, ...] = (True, False)


@dataclass(frozen=True, slots=True)
class Number:
    """`values`: these alone, as they are written."""

    limits: Limits = FREE
    values: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """`words`: these alone. `most` None: without end."""

    patterns: tuple[str, ...] = ()
    least: int = 0
    most: int | None = None
    words: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class List:
    """`first`: what the first items have to fit, one by one; `rest`: those behind them."""

    first: tuple[Both, ...] = ()
    rest: Both = ()
    least: int = 0
    most: int | None = None
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Layer:
    """What one schema says of an object's members. `extra` None: it says nothing of those that it does not name."""

    members: tuple[tuple[str, Both], ...] = ()
    patterns: tuple[tuple[str, Both], ...] = ()
    extra: Both | None = None


@dataclass(frozen=True, slots=True)
class Object:
    """`names`: what the names themselves have to fit."""

    layers: tuple[Layer, ...] = ()
    required: tuple[str, ...] = ()
    names: Both = ()
    least: int = 0
    most: int | None = None

    @property
    def members(self) -> list[str]:
        """The names that some layer knows or demands, in the order in which they were first said."""
        said = [name for layer in self.layers for name, _ in layer.members]
        return [*dict.fromkeys((*said, *self.required))]


Kind = Null | Truth | Number | Text | List | Object
ANYTHING: tuple[Kind, ...] = (Object(), List(), Text(), Number(), Truth(), Null())


def together(*several: Both) -> Both:
    return tuple(sorted({each for one in several for each in one}))


def meet(one: Kind, other: Kind) -> Kind | None:
    """What is both; None if nothing is, as far as can be seen without looking into their parts."""
    match one, other:
        case Null(), Null():
            return one
        case Truth(), Truth():
            values = tuple(value for value in one.values if value in other.values)
            return Truth(values) if values else None
        case Number(), Number():
            return _numbers(one, other)
        case Text(), Text():
            words = _common(one.words, other.words)
            patterns = tuple(dict.fromkeys((*one.patterns, *other.patterns)))
            found = Text(patterns, max(one.least, other.least), least_of(one.most, other.most), words)
            return None if _crossed(found.least, found.most) else found
        case List(), List():
            return _lists(one, other)
        case Object(), Object():
            whole = Object(
                tuple(dict.fromkeys((*one.layers, *other.layers))),
                tuple(dict.fromkeys((*one.required, *other.required))),
                together(one.names, other.names),
                max(one.least, other.least),
                least_of(one.most, other.most),
            )
            return None if _crossed(max(whole.least, len(whole.required)), whole.most) else whole
        case _:
            return None


def least_of(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return one if other is None else other
    return min(one, other)


def _crossed(least: int, most: int | None) -> bool:
    return most is not None and least > most


def _common(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if one is None or other is None:
        return one if other is None else other
    wanted = set(other)
    return tuple(word for word in one if word in wanted)


def _numbers(one: Number, other: Number) -> Number | None:
    limits = _limits(one.limits, other.limits)
    values = one.values if one.values is not None else other.values
    if one.values is not None and other.values is not None:
        wanted = {Decimal(value) for value in other.values}
        values = tuple(value for value in one.values if Decimal(value) in wanted)
    if values is not None:
        values = tuple(value for value in values if limits.allow(Decimal(value)))
        return Number(limits, values) if values else None
    low, high = limits.low, limits.high
    if (
        low is not None
        and high is not None
        and (low > high or (low == high and (limits.above or limits.below)))
    ):
        return None
    return Number(limits)


def _limits(one: Limits, other: Limits) -> Limits:
    found = replace(
        one,
        integer=one.integer or other.integer,
        multiples=tuple(dict.fromkeys((*one.multiples, *other.multiples))),
    )
    if other.low is not None and (one.low is None or other.low >= one.low):
        above = other.above or (one.above and one.low == other.low)
        found = replace(found, low=other.low, above=above)
    if other.high is not None and (one.high is None or other.high <= one.high):
        below = other.below or (one.below and one.high == other.high)
        found = replace(found, high=other.high, below=below)
    return found


def _lists(one: List, other: List) -> List | None:
    longest = max(len(one.first), len(other.first))
    first = tuple(together(item(one, number), item(other, number)) for number in range(longest))
    found = List(
        first,
        together(one.rest, other.rest),
        max(one.least, other.least),
        least_of(one.most, other.most),
        one.unique or other.unique,
    )
    return None if _crossed(found.least, found.most) else found


def item(of: List, number: int) -> Both:
    """What the item at this place has to fit."""
    return of.first[number] if number < len(of.first) else of.rest


def met(some: Sequence[Kind], others: Sequence[Kind]) -> tuple[Kind, ...]:
    """What is one of these and one of those."""
    found = (meet(one, other) for one in some for other in others)
    return tuple(dict.fromkeys(kind for kind in found if kind is not None))
