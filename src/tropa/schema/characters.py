"""Sets of characters, as sorted ranges of code points that don't touch. Surrogates are no characters."""

from __future__ import annotations

from collections.abc import Iterable

Range = tuple[int, int]
Set = tuple[Range, ...]

LAST = 0x10FFFF
ALL: Set = ((0, 0xD7FF), (0xE000, LAST))


def make(ranges: Iterable[Range]) -> Set:
    """Any ranges as a set."""
    found: list[Range] = []
    for low, high in sorted(ranges):
        if low > high:
            continue
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return (
        both(tuple(found), ALL)
        if any(high >= 0xD800 and low <= 0xDFFF for low, high in found)
        else tuple(found)
    )


def of(text: str) -> Set:
    """The characters of a text."""
    return make((ord(each), ord(each)) for each in text)


def either(*sets: Set) -> Set:
    return make(each for one in sets for each in one)


def both(one: Set, other: Set) -> Set:
    found = []
    i = j = 0
    while i < len(one) and j < len(other):
        low, high = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if low <= high:
            found.append((low, high))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def without(one: Set, other: Set) -> Set:
    return both(one, others(other))


def others(one: Set) -> Set:
    """All characters that are not in the set."""
    found = []
    at = 0
    for low, high in one:
        if at < low:
            found.append((at, low - 1))
        at = high + 1
    if at <= LAST:
        found.append((at, LAST))
    return both(tuple(found), ALL)


DIGITS = of("0123456789")
WORD = make([(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)])
BEYOND_ASCII: Set = both(((0x80, LAST),), ALL)
SPACES = of(" \t\n\r\f\v")
BREAKS = of("\n\r\u2028\u2029")
CONTROLS: Set = ((0, 0x1F),)
WIDE_SPACES = either(
    SPACES,
    make([(0x1C, 0x1F), (0x85, 0x85), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)]),
    make([(0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)]),
)
