"""Many requests to one model at once, and none of them loads it again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.concurrency.conftest import Serve
from tests.concurrency.server import Client, Server
from tests.support.bundled import questions

SLOTS = 4


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[Server]:
    with serve(OLLAMA_NUM_PARALLEL=str(SLOTS)) as server:
        yield server


async def test_64_simultaneous_questions_get_64_right_answers(server: Server, client: Client) -> None:
    asked = questions()[:: len(questions()) // 64][:64]
    assert len({each.question for each in asked}) == 64
    since = len(server.log)
    answers = [asyncio.create_task(client.chat("tiny", each.question)) for each in asked]
    together = 0
    while not all(answer.done() for answer in answers):
        if tiny := (await client.running()).get("tiny"):
            together = max(together, tiny["slots_busy"])
            assert tiny["slots_busy"] <= SLOTS == tiny["slots"]
    wrong = [
        (each.question, each.answer, answer.result())
        for each, answer in zip(asked, answers, strict=True)
        if answer.result() != each.answer
    ]
    assert not wrong
    assert together == SLOTS, "all slots were in use"
    assert server.loads("tiny", since) == 1
    (tiny,) = (await client.running()).values()
    assert (tiny["slots_busy"], tiny["waiting"]) == (0, 0)


async def test_streams_side_by_side_keep_apart(client: Client) -> None:
    """The same, over another endpoint and in pieces."""
    asked = questions()[1 :: len(questions()) // 8][:8]

    async def stream(question: str) -> str:
        body = {"model": "tiny", "prompt": question, "options": {"temperature": 0}}
        async with client.http.stream("POST", "/api/generate", json=body) as answer:
            content = b"".join([chunk async for chunk in answer.aiter_bytes()])
        import json

        return "".join(json.loads(line)["response"] for line in content.splitlines())

    assert await asyncio.gather(*(stream(each.question) for each in asked)) == [each.answer for each in asked]


async def test_the_same_request_twice_is_one_load(server: Server, client: Client) -> None:
    """The bug of Ollama 0.2.0: with more than one slot every request loaded the model again."""
    since = len(server.log)
    for _ in range(3):
        assert await client.chat("tiny", questions()[0].question, num_ctx=1024) == questions()[0].answer
    assert server.loads("tiny", since) == 1
    assert (await client.running())["tiny"]["context_length"] == 1024


async def test_more_context_than_the_model_was_trained_for_is_one_load(
    server: Server, client: Client
) -> None:
    since = len(server.log)
    for wish in (1_000_000, 1_000_000, 5000, None):
        await client.chat("tiny", questions()[0].question, **({} if wish is None else {"num_ctx": wish}))
    assert server.loads("tiny", since) == 1
    shown = await client.http.post("/api/show", json={"model": "tiny"})
    trained = shown.json()["model_info"]["llama.context_length"]
    assert (await client.running())["tiny"]["context_length"] == trained


async def test_alternating_contexts_reload_once_upward_and_never_down(server: Server, client: Client) -> None:
    since = len(server.log)
    seen = []
    for wish in (1024, 2048, 1024, 2048, 512, None, 1024):
        await client.chat("tiny", questions()[0].question, **({} if wish is None else {"num_ctx": wish}))
        seen.append((await client.running())["tiny"]["context_length"])
    assert server.loads("tiny", since) == 2
    assert seen == sorted(seen)
    assert seen[0] == 1024
    assert seen[1] >= 2048


async def test_contexts_asked_for_at_once_are_met_by_one_load(server: Server, client: Client) -> None:
    since = len(server.log)
    wishes = (256, 2048, 512, 1024) * 3
    asked = questions()[: len(wishes)]
    answers = await asyncio.gather(
        *(client.chat("tiny", each.question, num_ctx=wish) for each, wish in zip(asked, wishes, strict=True))
    )
    assert answers == [each.answer for each in asked]
    assert server.loads("tiny", since) <= 2
