"""How patient and how greedy a transfer is. One value, handed down; tests make it hurry."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tropa.registry.errors import GaveUp, RegistryError, Stalled
from tropa.registry.leaving import Leaving

MANIFEST = 4 << 20
"""Most bytes of a manifest that are taken from a network. Real ones have a few thousand."""
ANSWER = 1 << 20
"""Most bytes of a token or another small JSON answer."""
ERROR = 16 << 10
"""Most bytes of an error's body."""
REDIRECTS = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """Times are in seconds, sizes in bytes.

    `stall`: without a byte for so long, a connection is given up. `tries`: how often in a row one thing may
    fail without any progress; the wait before the next try doubles from `backoff`, up to `longest`.
    """

    connect: float = 30.0
    stall: float = 30.0
    commit: float = 600.0  # a registry may hash a whole upload before it answers
    tries: int = 6
    backoff: float = 1.0
    longest: float = 60.0
    streams: int = 8
    part: int = 64_000_000
    upload: int = 250_000_000
    tick: float = 0.06
    saved: int = 4 << 20  # downloaded bytes after which a part's state is written down


class Tries:
    """Counts failures of one thing. `failed` waits for the next try, or raises when there is none."""

    def __init__(self, limits: Limits, leaving: Leaving) -> None:
        self._limits = limits
        self._leaving = leaving
        self._count = 0

    def failed(self, error: RegistryError, *, progressed: bool = False) -> None:
        """`progressed`: bytes came since the last failure, so it goes on however often it breaks."""
        if not error.temporary:
            raise error
        if progressed:
            self._count = 0
        self._count += 1
        if self._count >= self._limits.tries:
            raise GaveUp(error) from error
        if isinstance(error, Stalled) and progressed:
            return  # it has waited long enough
        self._leaving.sleep(self._wait(error.after))

    def _wait(self, after: float | None) -> float:
        """Jitter keeps many clients from coming back all at once; it never shortens what the server asked for."""
        if after is not None:
            return min(after, self._limits.longest) * random.uniform(1.0, 1.1)  # noqa: S311 - no secret
        doubled: float = self._limits.backoff * 2 ** (self._count - 1)
        return min(doubled, self._limits.longest) * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
