"""One runner as the scheduler sees it, from Load to Gone."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum

from tropa.scheduler.actions import Placement
from tropa.scheduler.policy import Policy
from tropa.scheduler.reload import Setup


class Phase(StrEnum):
    """LOADING -> READY -> LEAVING; a load that fails or is aborted leaves directly.

    Draining is no phase: a draining runner is READY with `draining_for` set, and that can be taken back as
    long as it hasn't been unloaded.
    """

    LOADING = "loading"
    READY = "ready"
    LEAVING = "leaving"


@dataclass(slots=True)
class Runner:
    """Times are those of events; `busy` holds the ids of granted requests."""

    id: int
    key: str
    name: str
    placement: Placement
    setup: Setup
    started_at: float
    phase: Phase = Phase.LOADING
    context: int = 0
    """Effective, per slot, once ready."""
    slots: int = 0
    busy: set[int] = field(default_factory=set)
    draining_for: str | None = None
    """The key of the model it must make room for; its own for a reload."""
    ready_at: float = math.inf
    idle_since: float = math.inf
    expires_at: float = math.inf
    """Meaningful while idle."""
    timer: float = math.inf
    """The earliest of its entries among the timers."""
    duration: float = 0.0
    """The keep-alive that holds now."""
    pinned: bool = False
    """Kept for ever by somebody's wish for this model, not by the default."""
    served: int = 0
    why_leaving: str = ""

    @property
    def load_seconds(self) -> float:
        """What bringing it back would cost."""
        return self.ready_at - self.started_at

    @property
    def open(self) -> bool:
        """Whether it takes new requests."""
        return self.phase is Phase.READY and self.draining_for is None

    @property
    def idle(self) -> bool:
        """Ready and serving nobody. (Open and with someone waiting it can't stay so.)"""
        return self.phase is Phase.READY and not self.busy

    def residency_ends(self, policy: Policy) -> float:
        """Until then it is not drained for another model while it has work."""
        earned = policy.residency_factor * self.load_seconds
        return self.ready_at + min(max(earned, policy.residency_least), policy.residency_most)

    def keep(self, seconds: float) -> None:
        """Somebody's wish for how long it stays after its last request."""
        self.duration = math.inf if seconds < 0 else seconds
        self.pinned = self.duration == math.inf
