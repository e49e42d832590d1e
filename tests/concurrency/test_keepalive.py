"""How long a model stays: every form of `keep_alive`, and an `expires_at` that says the truth."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.concurrency.conftest import Serve
from tests.concurrency.server import Client, Server
from tests.support.bundled import questions

DEFAULT = 77
CENTURY = 100 * 365 * 86400
CLOCK = 2.0  # seconds between the server's answer and our look at it, on a machine that others use too


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[Server]:
    with serve(OLLAMA_KEEP_ALIVE=f"{DEFAULT}s", OLLAMA_NUM_PARALLEL="2") as server:
        yield server


def left(entry: dict[str, Any]) -> float:
    """Seconds until a model expires."""
    return (datetime.fromisoformat(entry["expires_at"]) - datetime.now(UTC)).total_seconds()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, DEFAULT),
        (10, 10),
        (12.5, 12.5),
        ("10m", 600),
        ("1h30m", 5400),
        ("90s", 90),
        ("1500ms", 1.5),
        ("10000h", 10000 * 3600),
    ],
)
async def test_a_model_stays_for_as_long_as_was_asked(client: Client, value: object, seconds: float) -> None:
    body = {} if value is None else {"keep_alive": value}
    answer = await client.got(
        "/api/generate", model="tiny", prompt=questions()[0].question, stream=False, **body
    )
    assert answer["done"]
    found = left((await client.running())["tiny"])
    assert seconds - CLOCK <= found <= seconds


@pytest.mark.parametrize("value", [-1, -0.5, "-1s", "-1m", -300])
async def test_negative_is_for_ever(client: Client, value: object) -> None:
    await client.got("/api/generate", model="tiny", keep_alive=value)
    assert left((await client.running())["tiny"]) > CENTURY


@pytest.mark.parametrize("value", [0, "0", "0s", 0.0])
async def test_zero_unloads_after_the_answer(server: Server, client: Client, value: object) -> None:
    since = len(server.log)
    each = questions()[0]
    messages = [{"role": "user", "content": each.question}]
    answer = await client.got(
        "/api/chat",
        model="tiny",
        messages=messages,
        stream=False,
        keep_alive=value,
        options={"temperature": 0},
    )
    assert answer["message"]["content"] == each.answer
    await client.sees(lambda running: running == {}, "tiny to leave")
    assert len(server.said("unloading runner", since)) == 1


@pytest.mark.parametrize("value", ["300", "ten", "", "10 m", True, [], {"seconds": 10}])
async def test_what_is_no_time_is_refused_and_loads_nothing(client: Client, value: object) -> None:
    for path, body in (("/api/generate", {"prompt": "?"}), ("/api/chat", {}), ("/api/embed", {"input": "?"})):
        status, text = await client.refused(path, model="tiny", keep_alive=value, **body)
        assert (status, bool(text)) == (400, True)
    assert await client.running() == {}


async def test_the_last_wish_holds_and_silence_leaves_it(client: Client) -> None:
    await client.got("/api/generate", model="tiny", keep_alive="1h")
    await client.chat("tiny", questions()[0].question)
    assert 3600 - CLOCK <= left((await client.running())["tiny"]) <= 3600
    await client.got("/api/generate", model="tiny", keep_alive=20)
    assert 20 - CLOCK <= left((await client.running())["tiny"]) <= 20
    vector = await client.got("/api/embed", model="bert", input="ba", keep_alive=30)
    assert vector["embeddings"]
    assert 30 - CLOCK <= left((await client.running())["bert"]) <= 30


async def test_an_idle_model_leaves_by_itself(server: Server, client: Client) -> None:
    since = len(server.log)
    for _ in range(2):
        await client.got("/api/generate", model="tiny", keep_alive="300ms")
        await client.sees(lambda running: running == {}, "tiny to leave")
    assert len(server.said("unloading .* not needed for as long as it is kept", since)) == 2


async def test_expires_at_is_never_in_the_past_while_busy(client: Client) -> None:
    """The reference leaves it where it was: a long answer then seems to be about to be cut off."""
    await client.got("/api/generate", model="large", keep_alive=1)
    async with client.holding("large"):
        begun = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < begun + 1.5:
            entry = (await client.running())["large"]
            assert entry["state"] == "ready"
            assert 1 - CLOCK < left(entry) <= 1
    await client.sees(lambda running: running == {}, "large to leave once it is idle")


async def test_loading_and_unloading_by_empty_requests(client: Client) -> None:
    for path, body in (
        ("/api/generate", {"prompt": ""}),
        ("/api/chat", {"messages": []}),
        ("/api/generate", {}),
    ):
        loaded = await client.got(path, model="tiny", **body)
        assert (loaded["done"], loaded["done_reason"]) == (True, "load")
        assert (await client.running()).keys() == {"tiny"}
        for _ in range(2):  # whether it is loaded or not
            gone = await client.got(path, model="tiny", keep_alive=0, **body)
            assert (gone["done"], gone["done_reason"]) == (True, "unload")
            await client.sees(lambda running: running == {}, "tiny to leave")


async def test_unloading_lets_running_answers_finish(client: Client) -> None:
    told = {"model": "large", "prompt": "ba", "raw": True, "options": {"num_predict": 60, "temperature": 0}}
    async with client.http.stream("POST", "/api/generate", json=told) as answer:
        chunks = answer.aiter_bytes()
        content = await anext(chunks)
        assert (await client.got("/api/generate", model="large", keep_alive=0))["done_reason"] == "unload"
        assert (await client.running())["large"]["slots_busy"] == 1
        content += b"".join([chunk async for chunk in chunks])
    last = json.loads(content.splitlines()[-1])
    assert (last["done"], last["eval_count"]) == (True, 60)
    await client.sees(lambda running: running == {}, "large to leave")
