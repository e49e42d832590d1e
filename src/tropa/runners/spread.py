"""Histograms: how many durations were at most so long, per label. Plain numbers, cheap to add to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

SECOND = 1_000_000_000  # nanoseconds
MOST_LABELS = 500  # told apart: whoever may create models could create any number
OTHER = "other"

# Seconds.
BUCKETS = (
    *(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0),
)


class Spread:
    """One histogram for each label."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def add(self, label: str, nanoseconds: int) -> None:
        seconds = nanoseconds / SECOND
        if label not in self._counts and len(self._counts) >= MOST_LABELS:
            label = OTHER
        counts = self._counts.setdefault(label, [0] * (len(BUCKETS) + 1))
        counts[bisect_left(BUCKETS, seconds)] += 1
        self._sums[label] = self._sums.get(label, 0.0) + seconds

    def rows(self) -> Iterator[tuple[str, list[tuple[str, float]], float]]:
        """Label, cumulated buckets with their bounds as text, sum."""
        for label, counts in self._counts.items():
            total = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip([*map(str, BUCKETS), "+Inf"], counts, strict=True):
                total += count
                buckets.append((bound, total))
            yield label, buckets, self._sums[label]
