"""The long simulation: `python -m tests.scheduler.soak --histories 1000000`.

Tapes come from a seed, over all cores; the first failures are shrunk and printed with their tape. With `--tape HEX` one
history is told event by event, and `--record FILE` writes it as a recording that replays.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.scheduler.scenario import Tape, scenario
from tests.scheduler.simulation import Simulation, simulate
from tropa.scheduler.actions import Action
from tropa.scheduler.events import Asked, Event
from tropa.scheduler.recording import dump

BATCH = 500


def tapes(seed: int, batch: int) -> Iterator[bytes]:
    rng = random.Random(f"{seed}/{batch}")
    for _ in range(BATCH):
        yield rng.randbytes(rng.choice((24, 40, 60, 100, 200)))


def failure(tape: bytes) -> str | None:
    """What goes wrong, or None."""
    try:
        simulate(tape)
    except Exception:  # noqa: BLE001  whatever it is, it is a failure of this history and must be shown
        return traceback.format_exc(limit=-3)
    return None


def play(job: tuple[int, int]) -> tuple[int, float, list[bytes]]:
    """One batch: events, the longest wait as a share of its bound, failing tapes."""
    events, longest, failing = 0, 0.0, []
    for tape in tapes(*job):
        try:
            done = simulate(tape)
        except Exception:  # noqa: BLE001  as above
            failing.append(tape)
        else:
            events += done.events
            longest = max(longest, done.patience.longest_turn)
    return events, longest, failing


def shrink(tape: bytes) -> bytes:
    """A shorter, calmer tape that fails too: drop runs of bytes, then lower single ones."""
    size = len(tape) // 2
    while size:
        at = 0
        while at < len(tape):
            shorter = tape[:at] + tape[at + size :]
            if failure(shorter):
                tape = shorter
            else:
                at += size
        size //= 2
    for at in range(len(tape)):
        for value in (0, tape[at] // 2, tape[at] - 1):
            calmer = tape[:at] + bytes([value]) + tape[at + 1 :] if 0 <= value < tape[at] else tape
            if calmer != tape and failure(calmer):
                tape = calmer
                break
    return tape


def tell(tape: bytes, record: Path | None) -> int:
    """One history, event by event."""
    data = Tape(tape)
    setting = scenario(data)
    print(*setting.devices, setting.policy, *setting.models, sep="\n")
    simulation = Simulation(setting, data)
    heard = simulation.scheduler.handle

    def handle(event: Event) -> list[Action]:
        shown = f"asks for {event.name}: {event.want}" if isinstance(event, Asked) else str(event)
        print(f"{event.at:8.2f}  {shown}")
        actions = heard(event)
        for action in actions:
            print(f"            -> {action}")
        return actions

    simulation.scheduler.handle = handle  # type: ignore[method-assign]
    try:
        simulation.run()
    except AssertionError:
        traceback.print_exc(limit=-3)
        return 1
    finally:
        if record is not None:
            record.write_text(dump(simulation.scheduler.policy, simulation.scheduler.history))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--histories", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--tape", type=bytes.fromhex, help="tell this one history")
    parser.add_argument("--record", type=Path, help="with --tape: write the recording here")
    args = parser.parse_args()
    if args.tape is not None:
        return tell(args.tape, args.record)
    print(f"seed {args.seed}")
    begin, events, histories, longest = time.monotonic(), 0, 0, 0.0
    failing: list[bytes] = []
    jobs = ((args.seed, batch) for batch in range(-(-args.histories // BATCH)))
    with multiprocessing.Pool(args.processes) as pool:
        for number, (some, share, failed) in enumerate(pool.imap_unordered(play, jobs), 1):
            events, histories, longest = events + some, number * BATCH, max(longest, share)
            failing += failed
            if number % 20 == 0 or failed:
                took = time.monotonic() - begin
                print(
                    f"{histories} histories, {events} events, {took:.0f} s, {len(failing)} failures",
                    flush=True,
                )
            if len(failing) >= 5:
                break
    for tape in failing[:5]:
        short = shrink(tape)
        print(f"--tape {short.hex()}\n{failure(short)}")
    print(
        f"{histories} histories, {events} events, longest wait {longest:.2f} of its bound, {len(failing)} failures"
    )
    return bool(failing)


if __name__ == "__main__":
    sys.exit(main())
