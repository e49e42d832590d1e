"""Engines that are killed, hang, or lose their socket; clients that leave; a server that is stopped at the worst time.

Every request ends with an answer or a reason, the next one works, and nothing is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.concurrency.conftest import Serve, Store
from tests.concurrency.gate import Gate
from tests.concurrency.server import Client, Server
from tests.support.bundled import questions
from tests.support.processes import alive, patience, soon

KILLS = 200
MODELS = ("tiny", "llama", "gemma")
STOPPED = "model runner has unexpectedly stopped"
LIMIT = "600MiB"


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[Server]:
    with serve(TROPA_MEMORY_LIMIT=LIMIT, OLLAMA_NUM_PARALLEL="2", OLLAMA_CONTEXT_LENGTH="1024") as server:
        yield server


@asynccontextmanager
async def nothing_leaks(server: Server, client: Client) -> AsyncIterator[None]:
    """What the server holds when all models have left is the same as before: files, threads, sockets, accounts."""
    await client.unload_all()
    plans, files = await held(server, client)
    yield
    running = await client.sees(
        lambda running: all(each["state"] == "ready" and not each["slots_busy"] for each in running.values()),
        "only idle models to be left",
    )
    assert all(each["waiting"] == 0 for each in running.values())
    assert len(server.engines()) == len(running)
    assert sorted(file.suffix for file in server.folders()) == [".json"] * len(running) + [".sock"] * len(
        running
    )
    await client.unload_all()
    await soon(lambda: not server.folders(), "the runtime folder is empty")
    assert not server.engines()
    after = await held(server, client)
    assert after[0] == plans
    assert after[1] <= files + 2, "a connection of ours may be open"


async def held(server: Server, client: Client) -> tuple[list[str], int]:
    plans = [(await client.plan(model))["outcome"] for model in (*MODELS, "large")]
    plans.append((await client.plan("large", num_parallel=64))["why"])  # names the bytes that are available
    return plans, psutil.Process(server.pid).num_fds()


async def ask(client: Client, model: str, random_: random.Random) -> str:
    """One request of any sort; how it ended. What it says must be whole and right, or a reason."""
    each = random_.choice(questions())
    stream = random_.random() < 0.5
    options = {"temperature": 0, "num_predict": -1 if model == "tiny" else 40}
    body = {"model": model, "prompt": each.question, "stream": stream, "options": options}
    answer = await client.post("/api/generate", **body)
    lines = [json.loads(line) for line in answer.content.splitlines()]
    last = lines[-1]
    if "error" in last:
        assert last["error"]
        assert answer.status_code == (200 if len(lines) > 1 else 500)
        return "loading failed" if "terminated: " in last["error"] else "died"
    assert answer.status_code == 200
    assert last["done"]
    if model == "tiny":
        assert "".join(line["response"] for line in lines) == each.answer
    return "answered"


async def test_200_random_kills_under_load(server: Server, client: Client) -> None:
    random_ = random.Random(11)
    ends: Counter[str] = Counter()
    killed: set[psutil.Process] = set()
    done = asyncio.Event()

    async def use(number: int) -> None:
        async with server.client(f"127.0.0.{number + 2}") as own:
            while not done.is_set():
                ends[await ask(own, MODELS[number % len(MODELS)], random_)] += 1

    async def kill() -> None:
        while len(killed) < KILLS:
            for engine in await asyncio.to_thread(server.engines) - killed:
                killed.add(engine)
                delays.append(asyncio.create_task(kill_later(engine)))

    async def kill_later(engine: psutil.Process) -> None:
        # At any moment of a load, which takes a few tenths of a second, or after it.
        await asyncio.sleep(random_.choice((0.0, random_.uniform(0, 0.2), random_.uniform(0.2, 0.8))))
        with contextlib.suppress(psutil.NoSuchProcess):
            engine.kill()

    delays: list[asyncio.Task[None]] = []
    begun = time.monotonic()
    async with nothing_leaks(server, client):
        users = [asyncio.create_task(use(number)) for number in range(6)]
        try:
            await kill()
            await asyncio.gather(*delays)
        finally:
            done.set()
            await asyncio.gather(*users)
        for model in MODELS:  # at most the runner that died last is still being buried
            assert await ask(client, model, random_) == "answered"
    print(f"{len(killed)} kills in {time.monotonic() - begun:.1f} s: {dict(ends)}")
    assert ends["answered"] > 20, ends
    assert ends["died"] + ends["loading failed"] > 20, ends


async def test_clients_that_leave_at_any_moment(server: Server, client: Client) -> None:
    random_ = random.Random(12)

    async def leave(number: int) -> None:
        async with server.client(f"127.0.0.{number % 5 + 2}") as own:
            asked = asyncio.create_task(ask(own, random_.choice(MODELS), random_))
            await asyncio.wait({asked}, timeout=random_.uniform(0, 0.4))
            asked.cancel()
            await asyncio.wait({asked})

    async with nothing_leaks(server, client):
        for _ in range(5):
            await asyncio.gather(*(leave(number) for number in range(20)))
        assert await ask(client, "tiny", random_) == "answered"


async def test_an_idle_engine_that_dies_is_replaced(server: Server, client: Client) -> None:
    async with nothing_leaks(server, client):
        await client.load("tiny")
        (engine,) = server.engines()
        engine.kill()
        await client.sees(lambda running: running == {}, "the dead to be seen")
        assert await client.chat("tiny", questions()[0].question) == questions()[0].answer


async def test_a_socket_that_vanishes_is_replaced(server: Server, client: Client) -> None:
    async with nothing_leaks(server, client):
        await client.load("tiny")
        (socket,) = [file for file in server.folders() if file.suffix == ".sock"]
        socket.unlink()
        with contextlib.suppress(AssertionError):  # this one may have had bad luck
            await client.chat("tiny", questions()[0].question)
        assert await client.chat("tiny", questions()[0].question) == questions()[0].answer


async def test_an_engine_that_hangs_while_serving_is_ended(serve: Serve) -> None:
    with serve(TROPA_SERVE_TIMEOUT="1s", OLLAMA_NUM_PARALLEL="2") as server:
        async with server.client() as client, nothing_leaks(server, client):
            await client.load("large")
            (engine,) = server.engines()
            asked = [
                asyncio.create_task(client.refused("/api/generate", model="large", prompt="ba"))
                for _ in range(2)
            ]
            await client.sees(lambda running: running["large"]["slots_busy"] == 2, "both to be served")
            begun = time.monotonic()
            engine.suspend()
            # An answer that had begun is cut off with a line of its own: `refused` sees status 200 and complains.
            ended = await asyncio.gather(*asked, return_exceptions=True)
            assert time.monotonic() - begun < patience(5.0)
            for end in ended:
                assert STOPPED in str(end) or "error" in str(end)
            assert not alive(engine)
            assert (await client.write("large", 2))["eval_count"] == 2
            assert server.said("it hangs")


async def test_a_slow_client_is_no_hanging_engine(serve: Serve) -> None:
    """It reads nothing until the engine has nothing left to do, and nobody takes that for hanging."""
    with serve(TROPA_SERVE_TIMEOUT="300ms", OLLAMA_NUM_PARALLEL="1") as server:
        async with server.client(buffer=4096) as slow, server.client() as client:
            told = {
                "num_predict": 2500,
                "temperature": 5,
                "top_k": 0,
            }  # a model that repeats itself is stopped
            async with slow.holding("llama", logprobs=True, top_logprobs=20, options=told):
                (engine,) = server.engines()
                worked = -1.0
                while worked < (worked := engine.cpu_times().user):  # noqa: ASYNC110 - time is what this is about
                    await asyncio.sleep(0.5)
                assert (await client.running())["llama"]["slots_busy"] == 1
                assert not server.said("it hangs")
            await client.sees(lambda running: running["llama"]["slots_busy"] == 0, "a free slot", 5.0)


async def test_an_engine_that_hangs_while_loading_is_ended(serve: Serve, gated: Gate, store: Store) -> None:
    told = {"OLLAMA_LOAD_TIMEOUT": "1s", "TROPA_LLAMA_SERVER": str(gated.executable)}
    with serve(**told) as server:
        async with server.client() as client, nothing_leaks(server, client):
            gated.close(store.blob("other"))
            try:
                both = [client.refused("/api/generate", model="other", prompt="ba") for _ in range(2)]
                for status, text in await asyncio.gather(*both):
                    assert status == 500
                    assert text.startswith("timed out waiting for llama-server to start")
                assert server.loads("other") == 1
                await soon(lambda: not server.engines(), "the engine is gone")
                assert await client.chat("tiny", questions()[0].question) == questions()[0].answer
            finally:
                gated.open(store.blob("other"))
            assert (await client.write("other", 2))["eval_count"] == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_a_server_stopped_while_it_loads_leaves_nothing(
    serve: Serve, gated: Gate, store: Store, number: signal.Signals
) -> None:
    gated.close(store.blob("other"))
    try:
        with serve(TROPA_LLAMA_SERVER=str(gated.executable)) as server:
            async with server.client() as client:
                asked = [asyncio.create_task(client.post("/api/generate", model="other")) for _ in range(3)]
                await soon(server.folders, "an engine is loading, and is on record")
                status = await asyncio.to_thread(server.end, number)
                ends = await asyncio.gather(*asked, return_exceptions=True)
            if number is not signal.SIGKILL:
                assert status == 0
                assert [
                    (end.status_code, end.json()) for end in ends if not isinstance(end, BaseException)
                ] == [(503, {"error": "server is shutting down"})] * 3
                return
            # Nobody could tidy up; the next server does.
            (left,) = {file.parent for file in server.folders()}
            with serve() as other:
                await soon(lambda: not left.exists(), "what was left behind is swept")
                async with other.client() as client:
                    assert await client.chat("tiny", questions()[0].question) == questions()[0].answer
    finally:
        gated.open(store.blob("other"))


async def test_running_answers_finish_when_the_server_stops(serve: Serve) -> None:
    with serve(OLLAMA_NUM_PARALLEL="1") as server:
        async with server.client() as client:
            await client.load("large")
            runs = asyncio.create_task(client.write("large", 30))
            await client.sees(lambda running: running["large"]["slots_busy"] == 1, "it to be served")
            waits = asyncio.create_task(client.refused("/api/generate", model="large", prompt="ba"))
            await client.sees(lambda running: running["large"]["waiting"] == 1, "another to wait")
            assert await asyncio.to_thread(server.end) == 0
            assert await waits == (503, "server is shutting down")
            assert (await runs)["eval_count"] == 30


async def test_a_state_folder_that_cannot_be_written_does_no_harm(serve: Serve, tmp_path: Path) -> None:
    """As with a full disk: what would be remembered is forgotten, and all else works."""
    (tmp_path / "state").write_text("a file where the folder should be")
    with serve(TROPA_STATE=str(tmp_path / "state")) as server:
        async with server.client() as client, nothing_leaks(server, client):
            for _ in range(2):
                assert await client.chat("tiny", questions()[0].question) == questions()[0].answer
                await client.unload("tiny")
        assert server.said("WARNING.*cannot remember")


@pytest.mark.skipif(sys.platform != "linux", reason="sets a limit on another process")
async def test_a_disk_that_is_full_costs_no_answers(serve: Serve) -> None:
    """No file can grow by a byte, the log neither. What must be written says why it cannot; all else works."""
    with serve() as server:
        async with server.client() as client:
            process = psutil.Process(server.pid)
            _, most = process.rlimit(psutil.RLIMIT_FSIZE)
            process.rlimit(psutil.RLIMIT_FSIZE, (0, most))
            for _ in range(2):
                assert await client.chat("tiny", questions()[0].question) == questions()[0].answer
                await client.unload("tiny")
            content = b"some bytes"
            path = f"/api/blobs/sha256:{hashlib.sha256(content).hexdigest()}"
            refused = await client.http.post(path, content=content)
            assert refused.status_code == 500
            assert "File too large" in refused.json()["error"]
            process.rlimit(psutil.RLIMIT_FSIZE, (most, most))
            assert (await client.http.post(path, content=content)).status_code == 201
            assert await client.chat("tiny", questions()[0].question) == questions()[0].answer
