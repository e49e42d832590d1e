"""Room for one model, and the other one is asked for: how long until its first token?

A swap is: the loaded model leaves (its process ends, its memory is free again), the other one is loaded, its prompt is
worked through. What it costs beyond the engine's own start is ours. `calm`: the loaded model has been idle for a
second; `at once`: it has just answered, as when a program uses two models in turns.
"""

from __future__ import annotations

import time

from benchmarks.support import load
from benchmarks.support.bare import bare_engine
from benchmarks.support.figures import Spread
from benchmarks.support.home import Home, home
from benchmarks.support.models import hundred_million
from benchmarks.support.plan import Plan
from benchmarks.support.report import Report, arguments
from benchmarks.support.server import Server, tropa_server

MODELS = {"first": 1, "second": 2}  # name: seed of its weights
CALM = 1.0  # seconds


def main() -> None:
    args = arguments(__doc__, rounds=10, quick=2)
    report = Report("swap", {"rounds": args.rounds, "calm_s": CALM, "models": MODELS})
    with home() as place, tropa_server(place, OLLAMA_MAX_LOADED_MODELS="1") as server:
        for name, seed in MODELS.items():
            server.create(name, hundred_million(seed))
        plans = [load.to_tropa(server, Plan("/api/chat", model=name, tokens=8)) for name in MODELS]
        bare = Spread.of(_bare(place, server, args.rounds))
        report.say(f"the bare engine's own start and first token: {bare.text(0)} ms")
        report.figure("bare start and first token, ms", bare.record())
        load.run(plans[0])
        for name, pause in (("calm", CALM), ("at once", 0.0)):
            swaps: list[float] = []
            for number in range(args.rounds):
                for plan in reversed(plans):  # the second is never the one that is loaded
                    time.sleep(pause)
                    swaps.append(1000 * load.first_token(load.seeded(plan, number)))
            spread = Spread.of(swaps)
            report.say(
                f"{name}: {spread.text(0)} ms, {spread.median - bare.median:.0f} over the bare engine's start"
            )
            report.figure(f"{name}, ms", spread.record())
    report.finish()


def _bare(place: Home, server: Server, rounds: int) -> list[float]:
    """Milliseconds from the start of the process to the first token."""
    server.load("first")
    launch, environment = server.launch(place.path / "bare.sock")
    server.unload("first")
    times: list[float] = []
    for number in range(rounds):
        with bare_engine(launch, environment) as bare:
            plan = load.to_bare(bare, Plan("/api/chat", tokens=8, seed=number))
            times.append(1000 * (bare.ready - bare.started + load.first_token(plan)))
    return times


if __name__ == "__main__":
    main()
