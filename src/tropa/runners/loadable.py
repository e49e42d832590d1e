"""A model as the runners see it: what it needs, and the files an engine opens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tropa.scheduler.demand import Demand


@dataclass(frozen=True, slots=True)
class Loadable:
    """`name` is the display name that asked, `demand.key` the identity of what gets loaded."""

    name: str
    demand: Demand
    weights: Path
    projector: Path | None = None
    adapters: tuple[Path, ...] = ()
