"""How much later the first token comes through Tropa than from the engine itself: warm, and with the model to load.

Warm: one request after another to a loaded model, from connecting to the first byte of text, prompts of a few
dozen tokens that nothing has cached. Load: Tropa has no engine running when the request comes; the bare engine is
timed from the start of its process to the moment it says that it is ready, plus its first token. The file is in the
page cache on both sides: what is compared is supervision, not the disk.
"""

from __future__ import annotations

from statistics import median

from benchmarks.support import load
from benchmarks.support.bare import Bare, bare_engine
from benchmarks.support.figures import Spread, interleaved
from benchmarks.support.home import Home, home
from benchmarks.support.models import TINY, hundred_million
from benchmarks.support.plan import NATIVE, Plan
from benchmarks.support.report import Report, arguments
from benchmarks.support.server import Server, tropa_server

LARGE = "m100"
WARM, LOAD = 10.0, 150.0  # milliseconds over the engine's own that the project allows


def main() -> None:
    args = arguments(__doc__, rounds=10, quick=3)
    report = Report("first_token", {"rounds": args.rounds, "only": args.only})
    with home() as place, tropa_server(place) as server:
        server.create(LARGE, hundred_million())
        for model in (TINY, LARGE):
            if args.only in f"warm {model}":
                _warm(report, place, server, model, args.rounds)
            if args.only in f"load {model}":
                _load(report, place, server, model, args.rounds)
    report.finish()


def _warm(report: Report, place: Home, server: Server, model: str, rounds: int) -> None:
    server.load(model)
    launch, environment = server.launch(place.path / "bare.sock")
    with bare_engine(launch, environment) as bare:
        for route in NATIVE:
            plan = Plan(route, model=model, tokens=8, requests=8, pause=0.02)
            _warm_route(report, server, bare, plan, rounds)
    server.unload(model)


def _warm_route(report: Report, server: Server, bare: Bare, plan: Plan, rounds: int) -> None:
    ours, theirs = load.to_tropa(server, plan), load.to_bare(bare, plan)
    load.warm(ours, theirs)
    pairs = interleaved(
        rounds,
        lambda number: 1000 * median(load.run(load.seeded(ours, number)).first),
        lambda number: 1000 * median(load.run(load.seeded(theirs, number)).first),
    )
    _tell(report, f"warm {plan.model} {plan.route}", pairs, WARM)


def _load(report: Report, place: Home, server: Server, model: str, rounds: int) -> None:
    server.load(model)
    launch, environment = server.launch(place.path / "bare.sock")
    server.unload(model)
    plan = Plan("/api/chat", model=model, tokens=8)

    def through(number: int) -> float:
        first = load.first_token(load.seeded(load.to_tropa(server, plan), number))
        server.unload(model)
        return 1000 * first

    def directly(number: int) -> float:
        with bare_engine(launch, environment) as bare:
            first = load.first_token(load.seeded(load.to_bare(bare, plan), number))
            return 1000 * (bare.ready - bare.started + first)

    _tell(report, f"load {model}", interleaved(rounds, through, directly), LOAD)


def _tell(report: Report, name: str, pairs: list[tuple[float, float]], most: float) -> None:
    over = Spread.of(ours - theirs for ours, theirs in pairs)
    both = Spread.of(ours for ours, _ in pairs), Spread.of(theirs for _, theirs in pairs)
    report.say(f"{name}: {both[0].text()} / {both[1].text()} ms; over: {over.text()} ms")
    report.figure(name, {"tropa_ms": both[0].record(), "bare_ms": both[1].record(), "over_ms": over.record()})
    report.aim(f"{name}: ms over the engine's own", over.median, most=most)


if __name__ == "__main__":
    main()
