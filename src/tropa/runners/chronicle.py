"""What became of loads and runners since the server's start: counted as it happens, so that nobody is ever asked."""

from __future__ import annotations

import time
from collections import Counter

from tropa.runners.spread import Spread
from tropa.scheduler.actions import Ending, Refusal


class Chronicle:
    """The herd's. Names are those of models that the library knew; reasons are `Ending`'s, and "died"."""

    def __init__(self) -> None:
        self.loads: Counter[tuple[str, str]] = Counter()
        """By model and outcome: `ready`, `failed`, `out-of-memory`, `unwanted`."""
        self.load_times = Spread()
        """Of those that became ready, by model."""
        self.unloads: Counter[tuple[str, str]] = Counter()
        """Of those that had become ready, by model and reason."""
        self.refusals: Counter[str] = Counter()
        self._loading: dict[int, tuple[str, int]] = {}
        self._serving: dict[int, str] = {}

    def loading(self, runner: int, name: str) -> None:
        self._loading[runner] = name, time.monotonic_ns()

    def ready(self, runner: int) -> None:
        name, began = self._loading.pop(runner)
        self.loads[name, "ready"] += 1
        self.load_times.add(name, time.monotonic_ns() - began)
        self._serving[runner] = name

    def failed(self, runner: int, *, out_of_memory: bool = False) -> None:
        """It never became ready."""
        if found := self._loading.pop(runner, None):
            self.loads[found[0], "out-of-memory" if out_of_memory else "failed"] += 1

    def leaves(self, runner: int, why: Ending | None) -> None:
        """It ends by a decision, or, without a reason, by itself. What is told first counts."""
        if name := self._serving.pop(runner, ""):
            self.unloads[name, why or "died"] += 1

    def gone(self, runner: int) -> None:
        """A load that was given up is known by now only."""
        if found := self._loading.pop(runner, None):
            self.loads[found[0], "unwanted"] += 1
        self._serving.pop(runner, None)

    def refused(self, why: Refusal) -> None:
        self.refusals[why] += 1
