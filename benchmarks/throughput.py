"""What a server on this machine makes: tokens per second for 1 to 16 clients, with 1, 4 and 16 slots.

The number of slots is what a user can set (`OLLAMA_NUM_PARALLEL`), the number of clients is what happens to them.
More slots give more tokens per second, since the engine reads the weights once for all of them; with fewer slots than
clients the others wait, which the time to the first token shows.
"""

from __future__ import annotations

from statistics import median

from benchmarks.support import load
from benchmarks.support.figures import Spread
from benchmarks.support.home import home
from benchmarks.support.models import hundred_million
from benchmarks.support.plan import Outcome, Plan
from benchmarks.support.report import Report, arguments
from benchmarks.support.server import Server, tropa_server

MODEL = "m100"
SLOTS = (1, 4, 16)
CLIENTS = (1, 2, 4, 8, 16)


def main() -> None:
    args = arguments(__doc__, rounds=3, quick=1)
    tokens, requests = (32, 16) if args.quick else (96, 32)
    report = Report(
        "throughput", {"rounds": args.rounds, "tokens": tokens, "requests": requests, "only": args.only}
    )
    with home() as place:
        for slots in SLOTS:
            if not any(args.only in _name(slots, clients) for clients in CLIENTS):
                continue
            with tropa_server(place, OLLAMA_NUM_PARALLEL=str(slots)) as server:
                server.create(MODEL, hundred_million())
                server.load(MODEL)
                for clients in CLIENTS:
                    if args.only in _name(slots, clients):
                        plan = Plan(
                            "/api/chat",
                            model=MODEL,
                            tokens=tokens,
                            streams=clients,
                            requests=max(1, requests // clients),
                        )
                        _case(report, server, plan, slots, args.rounds)
    report.finish()


def _name(slots: int, clients: int) -> str:
    return f"{slots} slots, {clients} clients"


def _case(report: Report, server: Server, plan: Plan, slots: int, rounds: int) -> None:
    load.warm(load.to_tropa(server, load.shorter(plan)))
    outcomes = [load.run(load.seeded(load.to_tropa(server, plan), number)) for number in range(rounds)]
    rate = Spread.of(each.rate for each in outcomes)
    first = Spread.of(1000 * median(each.first) for each in outcomes)
    name = _name(slots, plan.streams)
    report.say(f"{name}: {rate.text()} tokens/s, first token {first.text(0)} ms (median of each run)")
    figure: dict[str, object] = {"tokens_per_s": rate.record(), "first_token_ms": first.record()}
    report.figure(name, figure | {"longest_request_ms": round(1000 * _longest(outcomes))})


def _longest(outcomes: list[Outcome]) -> float:
    return max(max(each.whole) for each in outcomes)


if __name__ == "__main__":
    main()
