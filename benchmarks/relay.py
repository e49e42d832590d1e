"""What Tropa costs between a client and the engine, on the token path.

The same load, from the same client, goes to Tropa and directly to an engine with the very same start-up parameters:
the ratio of their tokens per second is what is left of the engine's speed. `/api/chat` is held against
`/v1/chat/completions`, `/api/generate` against `/completion` with the prompt already rendered. Prompts differ in every
request, answers have a fixed length. On a small machine engine, server and client share the same few cores, so
every microsecond of ours is taken from the engine: the CPU time of our process per relayed token is the figure to
look at when the ratio is noisy, as it is with few cores and neighbours.

`tiny` makes more tokens per second than any model people use: it shows the cost at its worst. Answers of two lengths
tell apart what a token costs and what a request costs.
"""

from __future__ import annotations

from itertools import groupby
from statistics import median

from msgspec.structs import replace

from benchmarks.support import load
from benchmarks.support.bare import Bare, bare_engine
from benchmarks.support.figures import Spread, interleaved
from benchmarks.support.home import Home, home
from benchmarks.support.load import Charged
from benchmarks.support.models import TINY, hundred_million, options
from benchmarks.support.plan import NATIVE, Outcome, Plan, Route
from benchmarks.support.report import Report, arguments
from benchmarks.support.server import Server, tropa_server

LARGE = "m100"
CASES = (
    (4, 1),
    (4, 4),
    (4, 16),
    (16, 16),
)  # slots, streams. 16 on 4 queue up, at our door and at the engine's
RATIO, MICROSECONDS = 0.90, 60.0  # what the project wants


def main() -> None:
    args = arguments(__doc__, rounds=7, quick=2)
    tokens = 48 if args.quick else 128
    report = Report(
        "relay", {"rounds": args.rounds, "tokens": tokens, "tiny": options(TINY), "only": args.only}
    )
    with home() as place:
        for slots in (4, 16):
            plans = [
                plan
                for model in (TINY, LARGE)
                for route in NATIVE
                for plan in (_plan(route, model, streams, tokens) for each, streams in CASES if each == slots)
                if args.only in _name(plan, slots)
            ]
            if plans:
                _with_slots(place, report, slots, plans, args.rounds)
    report.finish()


def _with_slots(place: Home, report: Report, slots: int, plans: list[Plan], rounds: int) -> None:
    with tropa_server(place, OLLAMA_NUM_PARALLEL=str(slots)) as server:
        server.create(LARGE, hundred_million())
        for model, group in groupby(plans, lambda plan: plan.model):
            server.load(model)
            launch, environment = server.launch(place.path / "bare.sock")
            with bare_engine(launch, environment) as bare:
                for plan in group:
                    _case(report, server, bare, plan, slots, rounds)
                    if plan.streams == 4:
                        _split(report, server, plan, rounds)
            server.unload(model)


def _name(plan: Plan, slots: int) -> str:
    return f"{plan.model} {plan.route} {plan.streams} streams, {slots} slots"


def _plan(route: Route, model: str, streams: int, tokens: int) -> Plan:
    """Enough work for a second or two: a small model gets more of it."""
    requests = {1: 3, 4: 2, 16: 1}[streams] * (4 if model == TINY else 1)
    return Plan(route, model=model, options=options(model), tokens=tokens, streams=streams, requests=requests)


def _case(report: Report, server: Server, bare: Bare, plan: Plan, slots: int, rounds: int) -> None:
    ours, theirs = load.to_tropa(server, plan), load.to_bare(bare, plan)

    def through(number: int) -> Charged:
        return load.charged(server, load.seeded(ours, number))

    def directly(number: int) -> Outcome:
        return load.run(load.seeded(theirs, number))

    load.warm(ours, theirs)
    pairs = interleaved(rounds, through, directly)
    ratio = Spread.of(a.outcome.rate / b.rate for a, b in pairs)
    rates = Spread.of(a.outcome.rate for a, _ in pairs), Spread.of(b.rate for _, b in pairs)
    per_token = Spread.of(a.per_token for a, _ in pairs)
    gaps = {
        "tropa": _gaps([a.outcome for a, _ in pairs]),
        "bare": _gaps([b for _, b in pairs]),
    }
    client = Spread.of(a.outcome.cpu / a.outcome.tokens * 1e6 for a, _ in pairs)
    name = _name(plan, slots)
    report.say(
        f"{name}: {rates[0].text()} / {rates[1].text()} tokens/s = {ratio.text(2)}; "
        f"{per_token.text(0)} µs/token, client {client.median:.0f} µs; "
        f"gaps p50 {gaps['tropa'][0]:.2f} / {gaps['bare'][0]:.2f} ms, "
        f"p99 {gaps['tropa'][1]:.1f} / {gaps['bare'][1]:.1f} ms"
    )
    report.figure(
        name,
        {
            "tropa_tokens_per_s": rates[0].record(),
            "bare_tokens_per_s": rates[1].record(),
            "ratio": ratio.record(),
            "server_us_per_token": per_token.record(),
            "client_us_per_token": client.record(),
            "gap_ms_p50_p99": gaps,
            "answers_cut_short": sum(a.outcome.short + b.short for a, b in pairs),
        },
    )
    if plan.model == LARGE:
        report.aim(f"{name}: ratio", ratio.median, least=RATIO)
    report.aim(f"{name}: µs of our process per token", per_token.median, most=MICROSECONDS)


def _split(report: Report, server: Server, plan: Plan, rounds: int) -> None:
    """Solve two equations: a request and 16 tokens, a request and 256 tokens."""
    short, long = 16, 256
    plan = load.to_tropa(server, plan)

    def cost(tokens: int, number: int) -> float:
        """Seconds of CPU per request."""
        wanted = replace(
            plan, tokens=tokens, requests=max(2, 512 // tokens // plan.streams), seed=1000 + number
        )
        found = load.charged(server, wanted)
        return found.cpu / len(found.outcome.whole)

    pairs = interleaved(rounds, lambda number: cost(long, number), lambda number: cost(short, number))
    token = Spread.of(1e6 * (more - less) / (long - short) for more, less in pairs)
    request = Spread.of(1e6 * (less - short * (more - less) / (long - short)) for more, less in pairs)
    name = f"{plan.model} {plan.route} {plan.streams} streams, apart"
    report.say(f"{name}: {token.text(0)} µs per token, {request.text(0)} µs per request")
    report.figure(name, {"us_per_token": token.record(), "us_per_request": request.record()})


def _gaps(outcomes: list[Outcome]) -> list[float]:
    """Between tokens as the client sees them, in milliseconds: p50 and p99."""
    return [
        1000 * median(each.gap_p50 for each in outcomes),
        1000 * median(each.gap_p99 for each in outcomes),
    ]


if __name__ == "__main__":
    main()
