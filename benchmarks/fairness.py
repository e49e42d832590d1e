"""Room for one model, four clients that never stop asking for A, and one that asks for B now and then.

A scheduler that serves whatever is loaded keeps B out for ever; one that serves strictly in turns does nothing but
load. So there are two figures: how long B waits for its first token, and what A still makes compared with having the
machine to itself.
"""

from __future__ import annotations

import time

from benchmarks.support import load
from benchmarks.support.figures import Spread
from benchmarks.support.home import home
from benchmarks.support.models import hundred_million
from benchmarks.support.plan import Outcome, Plan
from benchmarks.support.report import Report, arguments
from benchmarks.support.server import tropa_server

HOT, RARE = "hot", "rare"
HOT_CLIENTS = 4
STARVED = 60.0  # seconds: B was not served within them by Ollama 0.33 in the same situation
HEAD_START = 3.0  # seconds that A has been hot when B comes


def main() -> None:
    args = arguments(__doc__, rounds=6, quick=2)
    seconds = 20.0 if args.quick else 60.0
    knobs = {"asks": args.rounds, "seconds": seconds, "hot_clients": HOT_CLIENTS}
    report = Report("fairness", knobs)
    with home() as place, tropa_server(place, OLLAMA_MAX_LOADED_MODELS="1") as server:
        for seed, name in enumerate((HOT, RARE), 1):
            server.create(name, hundred_million(seed))
        hot = Plan("/api/chat", model=HOT, tokens=64, streams=HOT_CLIENTS, requests=10_000, seconds=seconds)
        hot = load.to_tropa(server, hot)
        rare = Plan(
            "/api/chat",
            model=RARE,
            tokens=16,
            requests=args.rounds,
            pause=2.0,
            seconds=seconds - HEAD_START - 2.0,
        )
        rare = load.to_tropa(server, load.patient(rare, STARVED))
        server.load(HOT)
        alone = load.run(load.patient(load.for_seconds(hot, min(10.0, seconds)), STARVED))
        with load.loading(load.seeded(load.patient(hot, 2 * STARVED), 1)) as crowd:
            time.sleep(HEAD_START)
            asked = load.run(rare, tolerant=True)
            busy = crowd.outcome()
        _tell(report, alone, busy, asked)
    report.finish()


def _tell(report: Report, alone: Outcome, busy: Outcome, asked: Outcome) -> None:
    for error in asked.errors:
        report.say(f"B failed: {error}")
    if asked.first:
        waits = Spread.of(asked.first)
        report.say(
            f"B waits for its first token: {waits.text()} s; all: {[round(t, 1) for t in asked.first]}"
        )
        report.figure("waits of B, s", waits.record())
    hot = Spread.of(busy.whole)
    report.say(
        f"A alone {alone.rate:.1f} tokens/s, with B about {busy.rate:.1f}; a request takes {hot.text()} s"
    )
    report.figure("A alone, tokens/s", round(alone.rate, 1))
    report.figure("A with B about, tokens/s", round(busy.rate, 1))
    report.figure("requests of A, s", hot.record())
    report.figure("B failed", len(asked.errors))
    report.aim(
        "longest wait of B, s", max(asked.first, default=STARVED) if not asked.errors else STARVED, most=10.0
    )


if __name__ == "__main__":
    main()
