"""What was asked of a server of ours, out of its access log."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Traffic:
    """All exchanges that ended since a moment."""

    log: Path
    begun: int
    """Bytes that the log had then."""
    expected: set[str] = field(default_factory=set)
    """Refusals that belong there, as `trouble` tells them."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        with self.log.open(encoding="utf-8") as log:
            log.seek(self.begun)
            return [json.loads(line) for line in log if line.startswith("{") and line.endswith("\n")]

    def of(self, route: str) -> list[dict[str, Any]]:
        """The exchanges of `POST /api/chat`, say."""
        return [line for line in self.lines if f"{line['method']} {line['route']}" == route]

    @property
    def trouble(self) -> set[str]:
        """What was not answered as it was asked for: the status, or that the answer was cut short."""
        return {
            f"{line['method']} {line['route']} {'cut' if line.get('cut') else line['status']}"
            for line in self.lines
            if line["status"] >= 400 or line.get("cut")
        }
