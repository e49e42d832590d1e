"""Texts of many callers become tokens in few questions. The engine is a fake that answers when it is told to."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from tropa.runners.errors import EngineRefused, RunnerDied
from tropa.runners.herd import Slot
from tropa.service.tokens import TOGETHER, plain

BAD = "!"


class Engine:
    """The token of a letter is its number. `hold` keeps answers back until `go`."""

    def __init__(self) -> None:
        self.notes: dict[str, Any] = {}
        self.questions: list[list[str]] = []
        self.go = asyncio.Event()
        self.asked = asyncio.Event()
        self.dead = False

    async def call(self, path: str, body: dict[str, Any]) -> Any:
        assert path == "/tokenize"
        content: list[str | int] = body["content"]
        self.questions.append([each for each in content if isinstance(each, str)])
        self.asked.set()
        await self.go.wait()
        if self.dead:
            raise RunnerDied("it died")
        if any(BAD in each for each in content if isinstance(each, str)):
            raise EngineRefused("a bad text", 400, "invalid_request_error")
        tokens = [[each] if isinstance(each, int) else [*map(ord, each)] for each in content]
        return {"tokens": [token for part in tokens for token in part]}


@pytest.fixture
def engine() -> Engine:
    return Engine()


def ask(engine: Engine, *texts: str) -> asyncio.Task[list[list[int]]]:
    return asyncio.create_task(plain(cast("Slot", engine), texts))


def ids(*texts: str) -> list[list[int]]:
    return [[*map(ord, text)] for text in texts]


async def waiting(engine: Engine, *texts: str) -> tuple[asyncio.Task[list[list[int]]], ...]:
    """One question is on its way; the tasks of others who ask meanwhile."""
    first = ask(engine, "first")
    await engine.asked.wait()
    others = tuple(ask(engine, text) for text in texts)
    await asyncio.sleep(0)
    return first, *others


async def test_who_asks_meanwhile_shares_the_next_question(engine: Engine) -> None:
    first, *others = await waiting(engine, "a", "", "bc")
    engine.go.set()
    assert await first == ids("first")
    assert [await other for other in others] == [ids("a"), ids(""), ids("bc")]
    assert engine.questions == [["first"], ["a", "", "bc"]]


async def test_only_whose_text_was_refused_hears_of_it(engine: Engine) -> None:
    _, good, bad, other = await waiting(engine, "a", BAD, "b")
    engine.go.set()
    assert (await good, await other) == (ids("a"), ids("b"))
    with pytest.raises(EngineRefused):
        await bad


async def test_when_the_runner_dies_all_hear_of_it_and_the_next_is_asked_anew(engine: Engine) -> None:
    engine.dead = True
    tasks = await waiting(engine, "a", "b")
    engine.go.set()
    for task in tasks:
        with pytest.raises(RunnerDied):
            await task
    engine.dead = False
    assert await ask(engine, "c") == ids("c")


async def test_who_leaves_is_not_asked_for_and_costs_the_others_nothing(engine: Engine) -> None:
    first, gone, other = await waiting(engine, "gone", "b")
    gone.cancel()
    first.cancel()
    await asyncio.sleep(0)
    engine.go.set()
    assert await other == ids("b")
    assert engine.questions == [["first"], ["b"]]


async def test_a_long_text_waits_for_nobody_and_nobody_for_it(engine: Engine) -> None:
    long = "x" * (TOGETHER + 1)
    _, other = await waiting(engine, "a")
    alone = ask(engine, long)
    await asyncio.sleep(0)
    assert [long] in engine.questions
    engine.go.set()
    assert await other == ids("a")
    assert await alone == ids(long)


async def test_a_question_has_a_bound(engine: Engine) -> None:
    half = "x" * (TOGETHER // 2)
    tasks = await waiting(engine, half, half, half)
    engine.go.set()
    await asyncio.gather(*tasks)
    assert [len(question) for question in engine.questions] == [1, 2, 1]
