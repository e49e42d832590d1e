"""`/api/plan` says what would happen, and then that happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.concurrency.conftest import Serve
from tests.concurrency.server import Client, Server
from tests.support.bundled import questions

LIMIT = "1GiB"


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[Server]:
    with serve(OLLAMA_MAX_LOADED_MODELS="1", OLLAMA_NUM_PARALLEL="2", TROPA_MEMORY_LIMIT=LIMIT) as server:
        yield server


async def test_loaded_then_served(server: Server, client: Client) -> None:
    plan = await client.plan("tiny", options={"num_ctx": 700})
    assert plan["outcome"] == "loaded"
    assert await client.running() == {}, "asking loads nothing"
    since = len(server.log)
    await client.load("tiny", num_ctx=700)
    (line,) = server.said("loading tiny", since)
    assert plan["why"] in line
    shown = (await client.running())["tiny"]
    where = plan["placement"]
    assert (where["context_length"], where["slots"]) == (shown["context_length"], shown["slots"]) == (700, 2)
    assert (where["gpu_layers"], where["gpus"], where["memory"].keys()) == (0, [], {"cpu"})

    plan = await client.plan("tiny")
    assert (plan["outcome"], "leaving" in plan) == ("served", False)
    await client.chat("tiny", questions()[0].question)
    assert server.loads("tiny", since) == 1


async def test_an_idle_one_would_leave_and_does(server: Server, client: Client) -> None:
    await client.load("tiny")
    plan = await client.plan("llama")
    assert plan["outcome"] == "after-others"
    assert plan["leaving"] == [{"name": "tiny:latest", "condition": "idle"}]
    assert (await client.running()).keys() == {"tiny"}, "asking unloads nothing"
    since = len(server.log)
    await client.load("llama")
    assert (await client.running()).keys() == {"llama"}
    assert len(server.said("unloading", since)) == 1


async def test_a_busy_one_would_finish_first(client: Client) -> None:
    await client.load("large")
    async with client.holding("large"):
        plan = await client.plan("tiny")
        assert plan["outcome"] == "after-others"
        assert plan["leaving"] == [{"name": "large:latest", "condition": "busy"}]
        assert 0 < plan["earliest_seconds"] <= 30


async def test_a_reload_is_foreseen(server: Server, client: Client) -> None:
    await client.load("tiny", num_ctx=512)
    assert (await client.plan("tiny", options={"num_ctx": 256}))["outcome"] == "served"
    plan = await client.plan("tiny", options={"num_ctx": 1024})
    assert (plan["outcome"], [each["name"] for each in plan["leaving"]]) == ("after-others", ["tiny:latest"])
    since = len(server.log)
    await client.load("tiny", num_ctx=1024)
    assert server.loads("tiny", since) == 1
    assert (await client.running())["tiny"]["context_length"] >= 1024


async def test_behind_others_for_the_same_model(client: Client) -> None:
    await client.load("large")
    async with client.holding("large"), client.holding("large"):
        assert (await client.plan("large"))["outcome"] == "queued"
    await client.sees(lambda running: running["large"]["slots_busy"] == 0, "free slots")
    assert (await client.plan("large"))["outcome"] == "served"


async def test_a_refusal_is_foreseen_word_for_word(client: Client) -> None:
    await client.load("tiny")
    plan = await client.plan("large", num_parallel=256)
    assert plan["outcome"] == "refused"
    assert plan["why"].startswith("model requires more system memory (")
    assert plan["why"].endswith("than is available (1.0 GiB)")
    assert (await client.running()).keys() == {"tiny"}


async def test_what_cannot_be_asked(client: Client) -> None:
    assert await client.refused("/api/plan", model="nosuch") == (404, "model 'nosuch' not found")
    assert (await client.refused("/api/plan"))[0] == 400
    for slots in (0, -1, 2000):
        status, text = await client.refused("/api/plan", model="tiny", num_parallel=slots)
        assert (status, text) == (400, f'"num_parallel" is {slots}: allowed are 1 to 1024')
    status, text = await client.refused("/api/plan", model="tiny", options={"num_ctx": 0})
    assert (status, "allowed are 1 to" in text) == (400, True)
