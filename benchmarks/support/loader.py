"""The load client, a process of its own: `python -m benchmarks.support.loader`, a plan on stdin, an outcome on stdout.

It is the same for Tropa and for the bare engine, and it must not be what gets measured: while the clock runs it only
keeps what arrived and when; everything is decoded afterwards. One connection per request on both sides, since the
engine wants it so.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import httptools
import msgspec

from benchmarks.support.figures import percentile
from benchmarks.support.plan import Outcome, Plan

PREPARED = 64  # bodies per stream that are made before the clock runs
encode = msgspec.json.encode
decode = msgspec.json.decode


@dataclass
class Sample:
    """One request as it went."""

    start: float
    end: float = 0.0
    status: int = 0
    error: str = ""
    arrivals: list[tuple[float, bytes]] = field(default_factory=list)


class Asking(asyncio.Protocol):
    """Sends a request when connected and keeps what comes back, until it is whole or the connection ends."""

    def __init__(self, request: bytes, sample: Sample) -> None:
        self._request = request
        self._sample = sample
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        self._sample.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._sample.arrivals.append((time.perf_counter(), body))

    def on_message_complete(self) -> None:
        self._finish("")

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(f"the connection broke: {exc}")

    def _finish(self, error: str) -> None:
        if not self.done.done():
            self._sample.end = time.perf_counter()
            self._sample.error = error
            self.done.set_result(None)

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()


async def ask(plan: Plan, body: bytes) -> Sample:
    """One request to its end. Errors are part of the sample."""
    head = f"POST {plan.route} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
    request = head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body
    sample = Sample(time.perf_counter())
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(plan.timeout):
            if plan.socket:
                _, asking = await loop.create_unix_connection(lambda: Asking(request, sample), plan.socket)
            else:
                _, asking = await loop.create_connection(
                    lambda: Asking(request, sample), "127.0.0.1", plan.port
                )
            try:
                await asking.done
            finally:
                asking.abort()
    except TimeoutError:
        sample.end, sample.error = time.perf_counter(), f"no answer within {plan.timeout:.0f} s"
    except OSError as exc:
        sample.end, sample.error = time.perf_counter(), f"cannot connect: {exc}"
    return sample


async def stream(plan: Plan, number: int, bodies: list[bytes], until: float, samples: list[Sample]) -> None:
    """One client."""
    for index in range(plan.requests):
        if index and plan.pause:
            await asyncio.sleep(plan.pause)
        if time.perf_counter() >= until:
            return
        body = bodies[index] if index < len(bodies) else encode(plan.body(number, index))
        samples.append(await ask(plan, body))


async def perform(plan: Plan) -> tuple[list[Sample], float]:
    """All clients; the samples, and the CPU seconds that this process spent meanwhile."""
    samples: list[Sample] = []
    known = min(plan.requests, PREPARED)
    bodies = [[encode(plan.body(number, index)) for index in range(known)] for number in range(plan.streams)]
    before = _cpu()
    until = time.perf_counter() + plan.seconds if plan.seconds else float("inf")
    async with asyncio.TaskGroup() as group:
        for number in range(plan.streams):
            group.create_task(stream(plan, number, bodies[number], until, samples))
    return samples, _cpu() - before


def examine(plan: Plan, samples: list[Sample], cpu: float) -> Outcome:
    """Decode everything, now that nothing is timed."""
    tokens = prompt_tokens = short = 0
    first: list[float] = []
    loads: list[float] = []
    gaps: list[float] = []
    errors: list[str] = []
    for sample in samples:
        if sample.error or sample.status >= 400:
            said = b"".join(body for _, body in sample.arrivals)[:300].decode(errors="replace")
            errors.append(f"status {sample.status}: {sample.error} {said}".strip())
            continue
        times: list[float] = []
        last: dict[str, Any] = {}
        for at, record in _records(sample.arrivals):
            if "error" in record:
                errors.append(str(record["error"]))
            if _speaks(record):
                times.append(at)
            last = record
        made, prompted, load = _counts(last)
        tokens += made
        prompt_tokens += prompted
        short += made < plan.tokens
        loads.append(load)
        if times:
            first.append(times[0] - sample.start)
        gaps += [later - earlier for earlier, later in itertools.pairwise(times)]
    begin = min((sample.start for sample in samples), default=0.0)
    end = max((sample.end for sample in samples), default=0.0)
    return Outcome(
        tokens,
        prompt_tokens,
        end - begin,
        first,
        [sample.end - sample.start for sample in samples],
        loads,
        percentile(gaps, 0.5) if gaps else 0.0,
        percentile(gaps, 0.99) if gaps else 0.0,
        max(gaps, default=0.0),
        short,
        cpu,
        errors,
    )


def _records(arrivals: list[tuple[float, bytes]]) -> Iterator[tuple[float, dict[str, Any]]]:
    """The JSON records of a stream, each with the time at which it was complete."""
    tail = b""
    for at, body in arrivals:
        *whole, tail = (tail + body).split(b"\n")
        for line in whole:
            text = line.removeprefix(b"data: ").strip()
            if text.startswith(b"{"):
                yield at, decode(text)
    if tail.strip().startswith(b"{"):
        yield arrivals[-1][0], decode(tail)


def _speaks(record: dict[str, Any]) -> bool:
    """Whether a record brings text."""
    if choices := record.get("choices"):
        delta = choices[0].get("delta", {})
        return bool(delta.get("content") or delta.get("reasoning_content"))
    if message := record.get("message"):
        return bool(message.get("content") or message.get("thinking"))
    return bool(record.get("response") or record.get("content"))


def _counts(last: dict[str, Any]) -> tuple[int, int, float]:
    """Tokens generated, tokens of the prompt, seconds until a slot was there, by the last record's word."""
    if timings := last.get("timings"):
        return timings["predicted_n"], timings["prompt_n"] + timings["cache_n"], 0.0
    return last.get("eval_count", 0), last.get("prompt_eval_count", 0), last.get("load_duration", 0) / 1e9


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """One plan."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=Plan)
    gc.disable()  # a pause of ours would look like one of theirs
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.Loop) as runner:
        samples, cpu = runner.run(perform(plan))
    sys.stdout.buffer.write(encode(examine(plan, samples, cpu)) + b"\n")


if __name__ == "__main__":
    main()
