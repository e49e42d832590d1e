"""The queue: so many may wait, the others are told at once; who leaves it leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.concurrency.conftest import Serve
from tests.concurrency.server import Client, Server
from tests.support.bundled import questions

BUSY = "server busy, please try again.  maximum pending requests exceeded"
QUEUE = 2


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[Server]:
    with serve(OLLAMA_MAX_QUEUE=str(QUEUE), OLLAMA_NUM_PARALLEL="1") as server:
        yield server


async def waiting(client: Client, count: int) -> None:
    await client.sees(lambda running: running["large"]["waiting"] == count, f"{count} requests to wait")


async def free(client: Client) -> None:
    await client.sees(lambda running: running["large"]["slots_busy"] == 0, "a free slot", within=5.0)


async def test_the_surplus_is_told_at_once(client: Client) -> None:
    async with client.holding("large"):
        queued = [asyncio.create_task(client.write("large", 2)) for _ in range(QUEUE)]
        await waiting(client, QUEUE)
        for path, body in (
            ("/api/generate", {"prompt": "ba"}),
            ("/api/chat", {"messages": [{"role": "user", "content": "ba"}]}),
        ):
            assert await client.refused(path, model="large", **body) == (503, BUSY)
        # One queue for all models: but who need not wait is not sent away.
        assert await client.refused("/api/embed", model="bert", input="ba") == (503, BUSY)
    assert [(await each)["eval_count"] for each in queued] == [2, 2]
    await free(client)


async def test_who_need_not_wait_is_served_though_the_queue_is_full(client: Client) -> None:
    await client.load("tiny")
    async with client.holding("large"):
        queued = [asyncio.create_task(client.write("large", 2)) for _ in range(QUEUE)]
        await waiting(client, QUEUE)
        assert await client.chat("tiny", questions()[0].question) == questions()[0].answer
    await asyncio.gather(*queued)


async def test_who_leaves_the_queue_leaves_nothing_behind(client: Client) -> None:
    async with client.holding("large"):
        for _ in range(3):
            queued = [asyncio.create_task(client.write("large", 2)) for _ in range(QUEUE)]
            await waiting(client, QUEUE)
            for each in queued:
                each.cancel()
            await waiting(client, 0)
    await free(client)
    assert (await client.write("large", 2))["eval_count"] == 2
    assert (await client.running())["large"]["waiting"] == 0


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("words", [1, 700])
async def test_who_leaves_while_served_frees_the_slot(client: Client, stream: bool, words: int) -> None:
    """In the middle of an answer, or of a prompt."""
    await client.load("large")
    asked = asyncio.create_task(
        client.post("/api/generate", model="large", prompt="ba " * words, raw=True, stream=stream)
    )
    await client.sees(lambda running: running["large"]["slots_busy"] == 1, "the request to be served")
    asked.cancel()
    await free(client)
