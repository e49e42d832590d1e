"""One request while the scheduler knows of it: from Asked until refused, cancelled or released."""

from __future__ import annotations

from dataclasses import dataclass

from tropa.scheduler.demand import Want
from tropa.scheduler.reload import Shape


@dataclass(slots=True)
class Request:
    """`runner` is None while it waits."""

    id: int
    client: str
    name: str
    key: str
    at: float
    want: Want
    shape: Shape
    round: int = 0
    """Its turn among those waiting for the model (fairqueue.py)."""
    ran_out: int = 0
    """Loads for it that ran out of memory."""
    failed: int = 0
    """Loads for it that failed otherwise."""
    runner: int | None = None
