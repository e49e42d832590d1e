"""One engine process and what is said to it: cancelled, killed, frozen."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundled import long_question
from tests.support.processes import descendants, patience, soon
from tropa.engines.engine import Command
from tropa.engines.launch import Launch
from tropa.engines.wheel import WheelEngine
from tropa.runners.child import Child
from tropa.runners.errors import EngineRefused, LoadFailed, RunnerDied
from tropa.runners.runner import Runner

pytestmark = pytest.mark.usefixtures("no_child_left")

PROMPT_TOKENS = 8000
FREED_WITHIN = 1.0


@pytest.fixture
async def slow(slow_model: Path, launch: Callable[..., Launch]) -> AsyncIterator[Runner]:
    runner = await Runner.load(
        WheelEngine(), launch(model=slow_model, context=16384, slots=2, batch=128, threads=2)
    )
    yield runner
    await runner.stop()


async def busy(runner: Runner) -> list[int]:
    return [slot["id"] for slot in await runner.call("GET", "/slots") if slot["is_processing"]]


async def freed(runner: Runner) -> float:
    """Seconds until the engine says that all its slots are free."""
    began = time.monotonic()
    while await busy(runner):
        assert time.monotonic() - began < 30
        await asyncio.sleep(0.01)
    return time.monotonic() - began


def completion(prompt: Any, tokens: int) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "n_predict": tokens,
        "stream": True,
        "return_progress": True,
        "ignore_eos": True,
    }


async def read(stream: AsyncGenerator[bytes, None], seen: list[Any]) -> None:
    async with aclosing(stream):
        async for record in stream:
            seen.append(json.loads(record))  # noqa: PERF401 - others look at it meanwhile


async def test_a_stream_cancelled_in_prompt_processing_frees_its_slot(slow: Runner) -> None:
    seen: list[Any] = []
    long = [300 + i % 500 for i in range(PROMPT_TOKENS)]
    reading = asyncio.create_task(read(slow.stream("/completion", completion(long, 10)), seen))
    await soon(lambda: seen, "the first word of progress")
    assert await busy(slow)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await freed(slow) < patience(FREED_WITHIN)
    assert not any(record.get("content") for record in seen), "the prompt was over too soon to prove anything"


async def test_a_stream_cancelled_in_generation_frees_its_slot(slow: Runner) -> None:
    seen: list[Any] = []
    reading = asyncio.create_task(read(slow.stream("/completion", completion("Hello", 15000)), seen))
    await soon(lambda: any(record.get("content") for record in seen), "the first words")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await freed(slow) < patience(FREED_WITHIN)


async def test_a_stream_that_is_left_frees_its_slot(slow: Runner) -> None:
    """Who has read enough closes the generator."""
    async with aclosing(slow.stream("/completion", completion("Hello", 15000))) as stream:
        await anext(stream)
    assert await freed(slow) < patience(FREED_WITHIN)


async def test_a_stream_that_is_read_slowly_loses_nothing(slow: Runner) -> None:
    text = []
    async with aclosing(slow.stream("/completion", completion("Hello", 60))) as stream:
        async for record in stream:
            text.append(json.loads(record).get("content"))
            await asyncio.sleep(0.001)
    assert len([piece for piece in text if piece is not None]) >= 60


async def test_an_engine_killed_mid_stream_is_told_with_its_signal(slow: Runner) -> None:
    seen: list[Any] = []
    reading = asyncio.create_task(read(slow.stream("/completion", completion("Hello", 15000)), seen))
    await soon(lambda: len(seen) > 3, "some words")
    os.kill(slow.child.pid, signal.SIGKILL)
    with pytest.raises(RunnerDied, match=r"^signal: SIGKILL$"):
        await reading


async def test_an_engine_killed_in_prompt_processing_is_told_too(slow: Runner) -> None:
    long = [300 + i % 500 for i in range(PROMPT_TOKENS)]
    seen: list[Any] = []
    reading = asyncio.create_task(read(slow.stream("/completion", completion(long, 10)), seen))
    await soon(lambda: seen, "the first word of progress")
    os.kill(slow.child.pid, signal.SIGKILL)
    with pytest.raises(RunnerDied, match="signal: SIGKILL"):
        await reading


async def test_a_call_to_a_dead_engine_says_how_it_died(launch: Callable[..., Launch]) -> None:
    runner = await Runner.load(WheelEngine(), launch())
    await runner.stop()
    with pytest.raises(RunnerDied, match="signal: SIGTERM"):
        await runner.call("GET", "/props")


async def test_a_frozen_engine_is_silent_and_a_working_one_is_not(slow: Runner) -> None:
    assert slow.silence() == 0
    seen: list[Any] = []
    reading = asyncio.create_task(read(slow.stream("/completion", completion("Hello", 15000)), seen))
    await soon(lambda: len(seen) > 3, "some words")
    assert slow.silence() < patience(0.5)
    os.kill(slow.child.pid, signal.SIGSTOP)
    await soon(lambda: slow.silence() > 0.3, "silence")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert slow.silence() == 0  # nobody waits for it any more


async def test_a_client_that_does_not_read_is_no_silence(slow: Runner) -> None:
    async with aclosing(slow.stream("/completion", completion("Hello", 15000))) as stream:
        await anext(stream)
        await asyncio.sleep(0.2)
        assert slow.silence() == 0


async def test_an_ill_formed_request_is_refused_in_a_stream_too(launch: Callable[..., Launch]) -> None:
    runner = await Runner.load(WheelEngine(), launch())
    with pytest.raises(EngineRefused) as caught:
        await anext(runner.stream("/v1/chat/completions", {"messages": "none", "stream": True}))
    assert caught.value.status >= 400
    await runner.stop()


async def test_many_short_streams_one_after_the_other_never_break(launch: Callable[..., Launch]) -> None:
    """The engine closes its connection after a stream in a way that a pooled client takes for an error."""
    runner = await Runner.load(WheelEngine(), launch())
    asked = long_question()
    for _ in range(20):
        body = {"messages": [{"role": "user", "content": asked.question}], "stream": True, "temperature": 0}
        text = ""
        async for record in runner.stream("/v1/chat/completions", body):
            text += "".join(choice["delta"].get("content") or "" for choice in json.loads(record)["choices"])
        assert text == asked.answer
    await runner.stop()


# Loads.


@pytest.mark.parametrize("moment", ["at once", "started", "loading"])
async def test_a_cancelled_load_leaves_nothing(
    launch: Callable[..., Launch], slow_model: Path, moment: str
) -> None:
    before = descendants()
    children: list[Child] = []
    started = launch(model=slow_model)
    loading = asyncio.create_task(Runner.load(WheelEngine(), started, on_start=children.append))
    if moment == "at once":
        await asyncio.sleep(0)
    else:
        await soon(lambda: children, "the start")
    if moment == "loading":
        await soon(lambda: any("loading model" in line for line in children[0].lines), "the loading")
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    await soon(lambda: descendants() == before, "the end of the process", within=2)
    assert started.address.socket is not None
    assert not started.address.socket.exists()


async def test_an_engine_killed_while_it_loads_is_a_failed_load(launch: Callable[..., Launch]) -> None:
    def kill(child: Child) -> None:
        os.kill(child.pid, signal.SIGKILL)

    with pytest.raises(LoadFailed, match="llama-server process has terminated: signal: SIGKILL"):
        await Runner.load(WheelEngine(), launch(), on_start=kill)


async def test_an_engine_that_says_nothing_for_too_long_is_given_up(launch: Callable[..., Launch]) -> None:
    with pytest.raises(LoadFailed, match="timed out waiting for llama-server to start - thinking") as caught:
        await Runner.load(Script("echo thinking; sleep 600"), launch(), stall=patience(0.3))
    assert not caught.value.out_of_memory


async def test_an_engine_that_keeps_talking_is_waited_for(launch: Callable[..., Launch]) -> None:
    began = time.monotonic()
    with pytest.raises(LoadFailed, match="exit status 3"):
        await Runner.load(
            Script("for i in 1 2 3 4 5 6; do echo $i; sleep 0.1; done; exit 3"), launch(), stall=patience(0.4)
        )
    assert time.monotonic() - began > 0.5


async def test_an_engine_that_cannot_be_started_is_a_failed_load(launch: Callable[..., Launch]) -> None:
    with pytest.raises(LoadFailed, match=r"the engine absent cannot be started: .*No such file"):
        await Runner.load(Absent(), launch())


async def test_who_is_told_of_the_start_may_fail_and_no_process_is_left(
    launch: Callable[..., Launch],
) -> None:
    before = descendants()

    def full(_: Child) -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        await Runner.load(WheelEngine(), launch(), on_start=full)
    assert descendants() == before


@pytest.mark.parametrize("body", [b"[]", b"garbage", b'{"data":null}', b"\xff", b'{"data":[{"id":5}]}'])
async def test_garbage_at_our_address_ends_the_load_at_once(
    launch: Callable[..., Launch], body: bytes
) -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    started = launch()
    assert started.address.socket is not None
    server = await asyncio.start_unix_server(serve, started.address.socket)
    async with server:
        with pytest.raises(LoadFailed, match="something else than"):
            await Runner.load(Script("sleep 600"), started, stall=20)


class Script:
    """An engine that is a line of shell."""

    def __init__(self, line: str) -> None:
        self.line = line
        self.name = "script"
        self.file = Path("/bin/sh")

    def command(self, launch: Launch) -> Command:
        return Command(("/bin/sh", "-c", self.line), {})

    def listing(self) -> Command:
        return Command(("/bin/sh", "-c", "echo Available devices:"), {})


class Absent(Script):
    def __init__(self) -> None:
        super().__init__("")
        self.name = "absent"

    def command(self, launch: Launch) -> Command:
        return Command(("/no/such/engine",), {})
