"""Several models at once: they answer side by side, and the one that is missed least makes room."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator

import pytest

from tests.concurrency.conftest import Serve, Store
from tests.concurrency.gate import Gate
from tests.concurrency.server import Client, Server
from tests.support.bundled import questions
from tests.support.processes import soon

TEXTS = ["ba be", "bi bo bu", "da de di do du"]


@pytest.fixture(scope="module")
def server(serve: Serve, gated: Gate) -> Iterator[Server]:
    with serve(OLLAMA_MAX_LOADED_MODELS="3", TROPA_LLAMA_SERVER=str(gated.executable)) as server:
        yield server


async def embed(client: Client) -> list[list[float]]:
    found: list[list[float]] = (await client.got("/api/embed", model="bert", input=TEXTS))["embeddings"]
    return found


async def test_three_models_answer_at_once(server: Server, client: Client) -> None:
    asked = questions()[::20][:12]
    wrote = await client.write("gemma", 20)
    vectors = await embed(client)
    assert all(math.isclose(math.hypot(*vector), 1.0, rel_tol=1e-3) for vector in vectors)
    since = len(server.log)

    async def talk() -> None:
        for each in asked:
            assert await client.chat("tiny", each.question) == each.answer

    async def writing() -> None:
        for _ in range(6):
            found = await client.write("gemma", 20)
            assert (found["eval_count"], found["response"]) == (20, wrote["response"])

    async def embedding() -> None:
        for _ in range(10):
            for one, other in zip(await embed(client), vectors, strict=True):
                assert sum(a * b for a, b in zip(one, other, strict=True)) > 0.999

    await asyncio.gather(talk(), writing(), embedding())
    running = await client.running()
    assert running.keys() == {"tiny", "gemma", "bert"}
    assert server.said("unloading", since) == []
    assert all((each["slots_busy"], each["waiting"]) == (0, 0) for each in running.values())


async def test_a_fourth_makes_an_idle_one_leave(server: Server, client: Client) -> None:
    for model in ("tiny", "gemma"):
        await client.load(model)
    await embed(client)
    since = len(server.log)
    answers = {"tiny": 0, "gemma": 0}
    stop = asyncio.Event()

    async def keep_using(model: str) -> None:
        while not stop.is_set():
            await (client.chat(model, questions()[0].question) if model == "tiny" else client.write(model, 5))
            answers[model] += 1

    users = [asyncio.create_task(keep_using(model)) for model in answers]
    try:
        await soon(lambda: all(answers.values()), "both are in use")
        await client.write("llama", 5)
    finally:
        stop.set()
        await asyncio.gather(*users)
    assert (await client.running()).keys() == {"tiny", "gemma", "llama"}
    assert len(server.said("unloading runner", since)) == 1
    assert server.loads("tiny", since) == server.loads("gemma", since) == 0


async def test_a_pinned_model_stays_while_another_can_go(client: Client) -> None:
    await client.got("/api/generate", model="gemma", keep_alive=-1)
    for model in ("tiny", "llama", "other"):
        await client.load(model)
    assert (await client.running()).keys() == {"gemma", "llama", "other"}


async def test_requests_for_a_loaded_model_do_not_wait_for_a_load(
    server: Server, client: Client, gated: Gate, store: Store
) -> None:
    await client.load("tiny")
    since = len(server.log)
    gated.close(store.blob("other"))
    slow = asyncio.create_task(client.write("other", 5))
    try:
        await server.says("loading other", since)
        for each in questions()[:8]:
            assert await client.chat("tiny", each.question) == each.answer
        assert not slow.done()
    finally:
        gated.open(store.blob("other"))
    assert (await slow)["eval_count"] == 5


async def test_a_load_does_not_wait_for_another_load(
    server: Server, client: Client, gated: Gate, store: Store
) -> None:
    since = len(server.log)
    gated.close(store.blob("other"))
    slow = asyncio.create_task(client.write("other", 5))
    try:
        await server.says("loading other", since)
        assert (await client.write("llama", 5))["eval_count"] == 5
        assert not slow.done()
    finally:
        gated.open(store.blob("other"))
    assert (await slow)["eval_count"] == 5


async def test_a_load_that_nobody_waits_for_is_given_up(
    server: Server, client: Client, gated: Gate, store: Store
) -> None:
    since = len(server.log)
    gated.close(store.blob("other"))
    try:
        asked = asyncio.create_task(client.write("other", 5))
        await server.says("loading other", since)
        asked.cancel()
        await server.says("unloading .* nobody waits for it", since)
        await client.sees(lambda running: running == {}, "nothing to run")
    finally:
        gated.open(store.blob("other"))
    assert (await client.write("other", 5))["eval_count"] == 5


async def test_a_load_goes_on_when_one_of_two_who_wait_leaves(
    server: Server, client: Client, gated: Gate, store: Store
) -> None:
    since = len(server.log)
    gated.close(store.blob("other"))
    try:
        leaves, stays = (asyncio.create_task(client.write("other", 5)) for _ in range(2))
        await server.says("loading other", since)
        leaves.cancel()
        await asyncio.wait({leaves})
        assert await client.chat("tiny", questions()[0].question), "the server has noticed by now"
    finally:
        gated.open(store.blob("other"))
    assert (await stays)["eval_count"] == 5
    assert server.loads("other", since) == 1
