"""Two models busy at once, against one alone: on the same cores, together they should make what one makes.

An engine's threads spin while they wait for each other, so two engines with their own defaults can take the cores from
each other until hardly anything is made. Whoever places runners owns the cores too. The last line of each case is two
bare engines with their own threading, for what would happen otherwise.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.support import load
from benchmarks.support.bare import Bare, bare_engine
from benchmarks.support.figures import Spread
from benchmarks.support.home import Home, home
from benchmarks.support.models import hundred_million
from benchmarks.support.plan import Plan
from benchmarks.support.report import Report, arguments
from benchmarks.support.server import Server, tropa_server

MODELS = {"first": 1, "second": 2}  # name: seed of its weights
SHARE = 0.80  # of what one alone makes


def main() -> None:
    args = arguments(__doc__, rounds=5, quick=1)
    seconds = 4.0 if args.quick else 8.0
    report = Report("two_models", {"rounds": args.rounds, "seconds": seconds, "models": MODELS})
    with home() as place, tropa_server(place, OLLAMA_MAX_LOADED_MODELS="2") as server:
        for name, seed in MODELS.items():
            server.create(name, hundred_million(seed))
        with ExitStack() as stack:
            bares = _bares(stack, place, server)
            for streams in (1, 4):
                plan = Plan("/api/chat", tokens=32, streams=streams, requests=10_000, seconds=seconds)
                plans = [load.of_model(load.to_tropa(server, plan), name) for name in MODELS]
                _case(report, f"{streams} streams each", plans, args.rounds)
                alone = [load.to_bare(bare, plan) for bare in bares]
                together = sum(_rates(alone, 0))
                report.say(
                    f"{streams} streams each, two bare engines that spin: {together:.1f} tokens/s together"
                )
                report.figure(
                    f"{streams} streams each, bare and spinning, tokens/s together", round(together, 1)
                )
    report.finish()


def _bares(stack: ExitStack, place: Home, server: Server) -> list[Bare]:
    """Engines like Tropa's in all but the threads' patience. Idle ones cost nothing."""
    bares: list[Bare] = []
    for name in MODELS:
        server.load(name)
        launch, environment = server.launch(place.path / f"{name}.sock")
        bares.append(stack.enter_context(bare_engine(launch, environment, spinning=True)))
        server.unload(name)
    return bares


def _case(report: Report, name: str, plans: list[Plan], rounds: int) -> None:
    load.warm(*map(load.shorter, plans))  # they are loaded by it, too
    alone: list[float] = []
    together: list[float] = []
    shares: list[float] = []
    uneven: list[float] = []
    for number in range(rounds):
        each = [load.run(load.seeded(plan, number)).rate for plan in plans]
        both = _rates(plans, rounds + number)
        alone += each
        together.append(sum(both))
        shares.append(sum(both) / (sum(each) / len(each)))
        uneven.append(min(both) / max(both))
    share = Spread.of(shares)
    report.say(
        f"{name}: alone {Spread.of(alone).text()}, together {Spread.of(together).text()} tokens/s "
        f"= {share.text(2)}; the slower of both at {Spread.of(uneven).text(2)} of the other"
    )
    report.figure(
        name,
        {
            "alone_tokens_per_s": Spread.of(alone).record(),
            "together_tokens_per_s": Spread.of(together).record(),
            "together_of_alone": share.record(),
            "slower_of_faster": Spread.of(uneven).record(),
        },
    )
    report.aim(f"{name}: together, of one alone", share.median, least=SHARE)


def _rates(plans: list[Plan], number: int) -> list[float]:
    """Tokens per second of several loads at the same time."""
    with ExitStack() as stack:
        loads = [stack.enter_context(load.loading(load.seeded(plan, number))) for plan in plans]
        return [each.outcome().rate for each in loads]


if __name__ == "__main__":
    main()
