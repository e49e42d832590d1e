"""What a benchmark prints: lines for people while it runs, and one JSON object as its last line."""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field

from benchmarks.support.machine import environment_knobs, machine, versions


@dataclass
class Report:
    """The figures of one run. `aim` compares one with what the project wants; nothing fails by missing it."""

    name: str
    knobs: dict[str, object]
    figures: dict[str, object] = field(default_factory=dict)
    aims: list[dict[str, object]] = field(default_factory=list)
    _machine: dict[str, object] = field(default_factory=machine)
    _start: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        where = ", ".join(f"{key} {value}" for key, value in self._machine.items())
        self.say(f"{self.name}: {where}")
        self.say(", ".join(f"{key} {value}" for key, value in versions().items()))

    def say(self, text: str) -> None:
        """A line for people."""
        print(text, flush=True)

    def figure(self, name: str, value: object) -> None:
        """A measurement, for the JSON line."""
        self.figures[name] = value

    def aim(self, name: str, value: float, *, most: float | None = None, least: float | None = None) -> None:
        """Say whether `value` is where the project wants it: at most, or at least."""
        met = (most is None or value <= most) and (least is None or value >= least)
        bound = f"at most {most:g}" if most is not None else f"at least {least:g}"
        self.say(f"  aim: {name}: {value:.3g}, {bound}: {'met' if met else 'MISSED'}")
        self.aims.append(
            {"name": name, "value": float(f"{value:.4g}"), "most": most, "least": least, "met": met}
        )

    def finish(self) -> None:
        """Print the JSON line."""
        record = {
            "benchmark": self.name,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(time.monotonic() - self._start, 1),
            "machine": {**self._machine, "load_average_after": machine()["load_average"]},
            "versions": versions(),
            "knobs": {**self.knobs, "environment": environment_knobs()},
            "figures": self.figures,
            "aims": self.aims,
        }
        self.say(json.dumps(record))


def arguments(doc: str | None, *, rounds: int, quick: int) -> argparse.Namespace:
    """The command line that every benchmark has: `--quick`, `--only`, and `--rounds` with its two defaults."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="fewer rounds and shorter answers: does it run at all?"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="just the cases whose name contains this")
    parser.add_argument(
        "--rounds", type=int, help=f"how often each thing is measured ({rounds}; quick: {quick})"
    )
    found = parser.parse_args()
    if found.rounds is None:
        found.rounds = quick if found.quick else rounds
    if not 1 <= found.rounds <= 1000:
        parser.error("--rounds must be between 1 and 1000")
    return found
