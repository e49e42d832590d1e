"""Numbers between bounds, as automata over the way they are written.

A number that has a bound or a `multipleOf` is written without an exponent, with fifteen digits at most in which its
value is exact wherever it is read.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from tropa.schema.automaton import Automaton, explore

INTEGER_DIGITS = 18
DIGITS = 15

SMALLER, EQUAL, LARGER = -1, 0, 1

Place = tuple[int, int, bool]
"""Digits read so far (from the point on: behind it), how they compare, whether the point was passed."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a number is compared with: a magnitude, its digits before and behind the point."""

    whole: str
    part: str

    @staticmethod
    def of(value: Decimal) -> Bound:
        whole, _, part = format(abs(value), "f").partition(".")
        return Bound(whole, part.rstrip("0"))

    @property
    def zero(self) -> bool:
        return self.whole == "0" and not self.part

    def step(self, at: Place, digit: int) -> Place:
        count, order, passed = at
        digits = self.part if passed else self.whole
        if order == EQUAL:
            own = int(digits[count]) if count < len(digits) else 0
            # More digits before the point decide it anyway, at the point.
            order = (digit > own) - (digit < own) if passed or count < len(digits) else EQUAL
        return min(count + 1, len(digits) + 1), order, passed

    def point(self, at: Place) -> Place:
        """At the point, or at the end of a number without one."""
        count, order, passed = at
        if passed:
            return at
        if count != len(self.whole):
            order = SMALLER if count < len(self.whole) else LARGER
        return 0, order, True

    def compared(self, at: Place) -> int:
        """How the number that ends here compares with this one."""
        count, order, _ = self.point(at)
        return SMALLER if order == EQUAL and count < len(self.part) else order


@dataclass(frozen=True, slots=True)
class Limits:
    """Which numbers. Bounds are None where there is none."""

    integer: bool = False
    low: Decimal | None = None
    above: bool = False
    """Whether `low` itself is left out."""
    high: Decimal | None = None
    below: bool = False
    multiples: tuple[Decimal, ...] = ()

    @property
    def free(self) -> bool:
        return self.low is None and self.high is None and not self.multiples

    def allow(self, value: Decimal) -> bool:
        """Whether this number is one of them."""
        if self.integer and value != value.to_integral_value():
            return False
        if self.low is not None and (value < self.low or (self.above and value == self.low)):
            return False
        if self.high is not None and (value > self.high or (self.below and value == self.high)):
            return False
        return all((Fraction(value) / Fraction(each)).denominator == 1 for each in self.multiples)


def automaton(limits: Limits) -> Automaton:
    """All of them, as they are written. Raises TooLarge."""
    bounds = [value for value in (limits.low, limits.high) if value is not None]
    digits = max([len(Bound.of(value).whole) for value in bounds], default=1)
    finest = max([len(Bound.of(value).part) for value in (*bounds, *limits.multiples)], default=0)
    places = 0 if limits.integer else max(DIGITS - digits, finest, 1)
    if limits.multiples and not limits.integer:
        places = min(places, max(len(Bound.of(each).part) for each in limits.multiples))
    digits = max(INTEGER_DIGITS if limits.integer else DIGITS, digits)
    sides = (
        _Side(limits, negative=False, places=places, digits=digits),
        _Side(limits, negative=True, places=places, digits=digits),
    )

    def follow(state: tuple[int, _At] | None) -> Iterable[tuple[int, int, Hashable]]:
        if state is None:
            if sides[1].possible:
                yield ord("-"), ord("-"), (1, sides[1].first)
            state = (0, sides[0].first)
        number, at = state
        if sides[number].possible:
            yield from ((code, code, (number, to)) for code, to in sides[number].follow(at))

    def ends(state: tuple[int, _At] | None) -> bool:
        return state is not None and sides[state[0]].ends(state[1])

    return explore(None, follow, ends)


class _At(NamedTuple):
    """`digits` so far: -1 before the first, 0 after a leading zero; behind the point, from 0 again. `least`, `most`:
    how it compares with them. `left`: what remains when it is divided by each multiple."""

    digits: int
    passed: bool
    least: Place
    most: Place | None
    left: tuple[int, ...]


class _Side:
    """Magnitudes of the numbers on one side of zero."""

    def __init__(self, limits: Limits, *, negative: bool, places: int, digits: int) -> None:
        low, high = limits.low, limits.high
        least_out, most_out = limits.above, limits.below
        if negative:
            low, high = (-high if high is not None else None), (-low if low is not None else None)
            least_out, most_out = most_out, least_out
        self.possible = high is None or high > 0 or (high == 0 and not most_out and not negative)
        if low is None or low < 0:
            low, least_out = Decimal(0), False
        if negative and low == 0:
            least_out = True  # there is no -0
        self._digits = digits
        self._places = places
        self._least, self._least_out = Bound.of(low), least_out
        self._most, self._most_out = (Bound.of(high) if high is not None and high >= 0 else None), most_out
        self._units = [(Fraction(each) * 10**places).numerator for each in limits.multiples]
        start = (0, EQUAL, False)
        self.first = _At(-1, False, start, start if self._most else None, (0,) * len(self._units))

    def follow(self, at: _At) -> Iterable[tuple[int, _At]]:
        most = self._most
        if at.digits < self._places if at.passed else at.digits != 0 and at.digits < self._digits:
            for digit in range(10):
                yield (
                    ord("0") + digit,
                    _At(
                        min(digit, 1) if at.digits == -1 else at.digits + 1,
                        at.passed,
                        self._least.step(at.least, digit),
                        most.step(at.most, digit) if most and at.most else None,
                        tuple(
                            (each * 10 + digit) % unit
                            for each, unit in zip(at.left, self._units, strict=True)
                        ),
                    ),
                )
        if not at.passed and at.digits >= 0 and self._places:
            least = self._least.point(at.least)
            yield ord("."), _At(0, True, least, most.point(at.most) if most and at.most else None, at.left)

    def ends(self, at: _At) -> bool:
        if at.digits == -1 or (at.passed and at.digits == 0):
            return False
        missing = 10 ** (self._places - (at.digits if at.passed else 0))
        if any(each * missing % unit for each, unit in zip(at.left, self._units, strict=True)):
            return False
        order = self._least.compared(at.least)
        if order == SMALLER or (order == EQUAL and self._least_out):
            return False
        if self._most is None or at.most is None:
            return True
        order = self._most.compared(at.most)
        return order == SMALLER or (order == EQUAL and not self._most_out)
