"""How quickly Tropa is there, and what it weighs while it does nothing.

People start a server by hand and type `tropa ps` between two thoughts; a tool that lets them wait for its imports is
put away. Ready means: from the start of the process to the first answer of `/api/version`. The first day is apart
from all others: on it the engine is tried out in the background. Memory and CPU time are those of the server's own
process when that is over and nothing is loaded.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.support.figures import Spread
from benchmarks.support.home import Home, home
from benchmarks.support.report import Report, arguments
from benchmarks.support.server import (
    Server,
    command,
    run,
    start,
    stop,
    tropa_server,
    until,
    wait_until_alive,
)

READY, IDLE, PS, VERSION = 1000.0, 90.0, 250.0, 100.0  # milliseconds, MB, milliseconds, milliseconds
SETTLE = 1.0  # seconds until nothing of the start is still going on
REST = 5.0  # seconds over which its idleness is measured
MB = 1_000_000


def main() -> None:
    args = arguments(__doc__, rounds=15, quick=3)
    report = Report("startup", {"rounds": args.rounds})
    with home() as place:
        _ready(report, place, args.rounds)
        with tropa_server(place) as server:
            time.sleep(SETTLE)
            _idle(report, server)
            _resting(report, server)
            for name, words, most in (
                ("tropa --version, ms", ("--version",), VERSION),
                ("tropa ps, ms", ("ps",), PS),
                ("tropa list, ms", ("list",), PS),
            ):
                times = Spread.of(_timed(list(words), server) for _ in range(args.rounds))
                _tell(report, name, times, most)
            _idle(report, server, "after the commands")
    bare = Spread.of(_python() for _ in range(args.rounds))
    report.say(f"for comparison, a Python that does nothing: {bare.text()} ms")
    report.figure("python -I -c pass, ms", bare.record())
    report.finish()


def _ready(report: Report, place: Home, rounds: int) -> None:
    first: list[float] = []
    later: list[float] = []
    for _ in range(rounds):
        place.forget()
        first.append(_start_once(place))
        later.append(_start_once(place))
    _tell(report, "ready, first day, ms", Spread.of(first), READY)
    _tell(report, "ready, ms", Spread.of(later), READY)


def _start_once(place: Home) -> float:
    """Milliseconds until it answers. It is let run until it knows its engine, for the next start's sake."""
    began = time.perf_counter()
    server = start(place)
    try:
        ready = wait_until_alive(server)
        until((place.path / "state" / "engines.json").exists, "the engine's probe")
        return 1000 * (ready - began)
    finally:
        stop(server)


def _idle(report: Report, server: Server, when: str = "idle") -> None:
    assert not server.engines()
    megabytes = server.rss() / MB
    report.figure(f"memory {when}, MB", round(megabytes, 1))
    report.aim(f"memory {when}, MB", megabytes, most=IDLE)


def _resting(report: Report, server: Server) -> None:
    """A server that nobody asks should not wake up: on a laptop that is the battery."""
    before = server.cpu()
    time.sleep(REST)
    spent = 1000 * (server.cpu() - before) / REST
    report.say(f"idle, ms of CPU per second: {spent:.2f}")
    report.figure("idle, ms of CPU per second", round(spent, 2))


def _timed(words: list[str], server: Server) -> float:
    began = time.perf_counter()
    run(command(*words), server.environment)
    return 1000 * (time.perf_counter() - began)


def _python() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", "pass"], check=True)
    return 1000 * (time.perf_counter() - began)


def _tell(report: Report, name: str, spread: Spread, most: float) -> None:
    report.say(f"{name}: {spread.text()}")
    report.figure(name, spread.record())
    report.aim(name, spread.median, most=most)


if __name__ == "__main__":
    main()
