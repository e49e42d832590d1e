"""Room for one model, and more who want it than can have it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Self

import pytest

from tests.concurrency.conftest import Serve
from tests.concurrency.server import Client, Server
from tests.support.bundled import questions
from tests.support.processes import patience, soon
from tropa.scheduler.policy import Policy

POLICY = Policy()
HOT, RARE = "tiny", "other"
CLIENTS = 4


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[Server]:
    with serve(OLLAMA_MAX_LOADED_MODELS="1") as server:
        yield server


class Crowd:
    """Clients that ask for the hot model again as soon as they are answered, each from an address of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = asyncio.Event()
        self.answers = [0] * CLIENTS
        self.longest = 0.0

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._hammer(number)) for number in range(CLIENTS)]
        await self.goes_on()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def goes_on(self) -> None:
        """Return when each has been answered five times more."""
        goal = [count + 5 for count in self.answers]
        await soon(
            lambda: (
                all(count >= least for count, least in zip(self.answers, goal, strict=True))
                or any(task.done() for task in self._tasks)
            ),
            "the hot model is served",
        )

    async def _hammer(self, number: int) -> None:
        asked = questions()[number::CLIENTS]
        async with self._server.client(f"127.0.0.{number + 2}") as client:
            while not self._stop.is_set():
                each = asked[self.answers[number] % len(asked)]
                begun = time.monotonic()
                assert await client.chat(HOT, each.question) == each.answer
                self.answers[number] += 1
                self.longest = max(self.longest, time.monotonic() - begun)


async def seconds_to_load(client: Client, model: str) -> float:
    begun = time.monotonic()
    await client.load(model)
    return time.monotonic() - begun


async def test_a_hot_model_cannot_keep_a_rare_one_out(server: Server, client: Client) -> None:
    rare_load = await seconds_to_load(client, RARE)
    await client.unload_all()
    hot_load = await seconds_to_load(client, HOT)
    residency = min(max(POLICY.residency_factor * hot_load, POLICY.residency_least), POLICY.residency_most)
    since = len(server.log)
    async with Crowd(server) as crowd:
        drain = 3 * crowd.longest
        for _ in range(2):  # the hot model has just come back when it is asked for the second time
            begun = time.monotonic()
            assert (await client.write(RARE, 8))["eval_count"] == 8
            waited = time.monotonic() - begun
            # Its turn comes after its patience and the other's residency; then the last answers end, one process goes
            # and the other comes. The rest is for a machine that others use too.
            bound = max(POLICY.patience, residency) + drain + patience(3 * rare_load + 1.0)
            print(f"the rare one waited {waited:.2f} s, at most {bound:.2f}")
            assert waited <= bound
            await crowd.goes_on()
    assert server.loads(RARE, since) == 2
    assert server.loads(HOT, since) == 2, (
        "the hot model was loaded again only to make up for each turn of the other"
    )


async def test_three_models_take_turns_where_one_fits(server: Server, client: Client) -> None:
    since = len(server.log)
    models = ("llama", "other", "gemma")
    answers = await asyncio.gather(*(client.write(model, 4) for model in models * 4))
    assert all(answer["eval_count"] == 4 for answer in answers)
    assert [server.loads(model, since) for model in models] == [1, 1, 1], "those for one model go together"
    assert len(await client.running()) == 1
