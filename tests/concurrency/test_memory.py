"""The user's budget: what can never fit is refused before anybody has to leave, what fits alone gets its room."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.concurrency.conftest import Serve
from tests.concurrency.server import Client
from tests.support.bundled import questions

MIB = 1 << 20
PLAIN = {"OLLAMA_NUM_PARALLEL": "1", "OLLAMA_CONTEXT_LENGTH": "1024"}
TOO_BIG = re.compile(r"model requires more system memory \((.+)\) than is available \((.+)\)")


@pytest.fixture(scope="module")
def sizes(serve: Serve) -> dict[str, int]:
    """Bytes that each model is expected to need."""

    async def ask(client: Client) -> dict[str, int]:
        return {
            model: (await client.plan(model))["placement"]["size"] for model in ("tiny", "other", "large")
        }

    async def asked() -> dict[str, int]:
        with serve(**PLAIN) as server:
            async with server.client() as client:
                return await ask(client)

    return asyncio.run(asked())


def mib(text: str) -> float:
    number, unit = text.split()
    return float(number) * {"MiB": 1, "GiB": 1024}[unit]


async def test_too_big_is_refused_before_anything_leaves(serve: Serve, sizes: dict[str, int]) -> None:
    limit = (sizes["tiny"] + sizes["large"]) // 2
    assert sizes["tiny"] < limit < sizes["large"]
    with serve(TROPA_MEMORY_LIMIT=str(limit), **PLAIN) as server:
        async with server.client() as client:
            await client.load("tiny")
            status, text = await client.refused("/api/generate", model="large", prompt="ba")
            assert status == 500
            told = TOO_BIG.fullmatch(text)
            assert told, text
            assert mib(told[1]) == pytest.approx(sizes["large"] / MIB, abs=0.2)
            assert mib(told[2]) == pytest.approx(limit / MIB, abs=0.2)
            assert (await client.plan("large")) == {"model": "large", "outcome": "refused", "why": text}
            assert (await client.running()).keys() == {"tiny"}
            assert not server.said("unloading")
            assert await client.chat("tiny", questions()[0].question) == questions()[0].answer


async def test_what_fits_alone_makes_the_idle_leave(serve: Serve, sizes: dict[str, int]) -> None:
    with serve(TROPA_MEMORY_LIMIT=f"cpu={sizes['large'] + sizes['other'] // 4}", **PLAIN) as server:
        async with server.client() as client:
            for model in ("large", "other"):
                assert (await client.write(model, 3))["eval_count"] == 3
                assert (await client.running()).keys() == {model}
            assert len(server.said("unloading runner")) == len(server.said("to make room")) == 1


async def test_the_busy_is_waited_for(serve: Serve, sizes: dict[str, int]) -> None:
    with serve(TROPA_MEMORY_LIMIT=str(sizes["large"] + sizes["tiny"] // 4), **PLAIN) as server:
        async with server.client() as client:
            async with client.holding("large"):
                asked = asyncio.create_task(client.chat("tiny", questions()[0].question))
                await server.says("tiny.*waits for room")
                assert not server.said("unloading")
            assert await asked == questions()[0].answer
            assert (await client.running()).keys() == {"tiny"}


async def test_slots_are_four_if_memory_allows_else_one(serve: Serve, sizes: dict[str, int]) -> None:
    with serve(OLLAMA_CONTEXT_LENGTH="4096") as server:
        async with server.client() as client:
            plan = (await client.plan("large"))["placement"]
            one = (await client.plan("large", num_parallel=1))["placement"]
            assert (plan["slots"], one["slots"]) == (4, 1)
            assert plan["size"] > one["size"]
            await client.load("large")
            shown = (await client.running())["large"]
            assert (shown["slots"], shown["context_length"]) == (4, 4096)
    with serve(
        OLLAMA_CONTEXT_LENGTH="4096", TROPA_MEMORY_LIMIT=str((plan["size"] + one["size"]) // 2)
    ) as server:
        async with server.client() as client:
            await client.load("large")
            shown = (await client.running())["large"]
            assert (shown["slots"], shown["context_length"]) == (1, 4096)


@pytest.mark.parametrize("limit", ["1MiB", "cpu=2MiB"])
async def test_a_budget_below_every_model_refuses_each_with_its_numbers(serve: Serve, limit: str) -> None:
    with serve(TROPA_MEMORY_LIMIT=limit) as server:
        async with server.client() as client:
            for model, path in (("tiny", "/api/chat"), ("llama", "/api/generate"), ("bert", "/api/embed")):
                body = {"messages": [{"role": "user", "content": "?"}], "prompt": "?", "input": "?"}
                status, text = await client.refused(path, model=model, **body)
                assert status == 500
                assert (told := TOO_BIG.fullmatch(text)), text
                assert told[2] == limit.removeprefix("cpu=").replace("MiB", ".0 MiB")
            assert await client.running() == {}
            assert not server.engines()
