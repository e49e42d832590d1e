"""Small statistics. Noise on a shared machine is one-sided, with a long tail: medians, with the whole range."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        found = sorted(values)
        if not found:
            raise ValueError("nothing was measured")
        return cls(median(found), found[0], found[-1], len(found))

    def text(self, digits: int = 1) -> str:
        """`12.3 (11.9-14.0)`"""
        return f"{self.median:.{digits}f} ({self.least:.{digits}f}-{self.most:.{digits}f})"

    def record(self) -> dict[str, float]:
        """For the JSON line: four significant digits are more than the machine can repeat."""
        return {name: float(f"{value:.4g}") for name, value in asdict(self).items() if name != "count"} | {
            "count": self.count
        }


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed."""
    found = sorted(values)
    return found[min(len(found) - 1, max(0, int(share * len(found) + 0.999999) - 1))]


def interleaved(rounds: int, first: Callable[[int], A], second: Callable[[int], B]) -> list[tuple[A, B]]:
    """Measure two things in turns, A B B A A B ..., so that a drift of the machine hits both alike.

    Each gets the number of the round, to vary its prompts with. Pairs come back as (first, second).
    """
    pairs: list[tuple[A, B]] = []
    for number in range(rounds):
        if number % 2:
            later = second(number)
            pairs.append((first(number), later))
        else:
            pairs.append((first(number), second(number)))
    return pairs
