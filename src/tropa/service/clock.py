"""Measures one request, from its arrival to its end."""

from __future__ import annotations

import time

from tropa.runners.account import current
from tropa.runners.reply import Timings
from tropa.service.events import Counts

MILLISECOND = 1_000_000  # nanoseconds


class Clock:
    """Made when the request arrives."""

    def __init__(self) -> None:
        self._start = time.monotonic_ns()
        self._load = 0

    def granted(self) -> None:
        """A slot is ours: everything until now was queueing and loading."""
        self._load = time.monotonic_ns() - self._start

    def counts(self, timings: Timings) -> Counts:
        """The final figures: our own times, and the engine's. They are entered in the request's account."""
        counts = Counts(
            total_ns=time.monotonic_ns() - self._start,
            load_ns=self._load,
            prompt_tokens=timings.cache_n + timings.prompt_n,
            cached_tokens=timings.cache_n,
            prompt_ns=int(timings.prompt_ms * MILLISECOND),
            tokens=timings.predicted_n,
            generation_ns=int(timings.predicted_ms * MILLISECOND),
        )
        account = current()
        account.prompt_tokens += counts.prompt_tokens
        account.cached_tokens += counts.cached_tokens
        account.tokens += counts.tokens
        account.prompt_ns += counts.prompt_ns
        account.generation_ns += counts.generation_ns
        return counts
