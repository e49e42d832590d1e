"""Random histories on the fake launcher: whatever happens when, every request ends and nothing is left."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from tests.runners.stages import POLICY, FakeStage, fake_stage
from tests.support.fake_launcher import MIB, model
from tests.support.processes import soon
from tropa.errors import TropaError
from tropa.runners.herd import Refused
from tropa.scheduler.actions import Refusal
from tropa.scheduler.demand import Want

NAMES = ["a", "b", "c", "d-slow", "e-fails", "f-oom", "g-brittle"]
# Who asks for one of these too is cancelled in the end: nothing else would end it.
HANGING = "h-mute"


async def history(stage: FakeStage, chance: random.Random) -> list[asyncio.Task[int]]:
    """Requests that come, go, and lose their engines, in an order that `chance` makes."""
    tasks: list[asyncio.Task[int]] = []
    for _ in range(60):
        match chance.choices(["ask", "cancel", "kill", "unload", "wait", "ready"], [10, 4, 1, 1, 6, 1])[0]:
            case "ask":
                want = Want(
                    context=chance.choice([None, None, 64, 1024]),
                    keep_alive=chance.choice([None, None, 0.0, 0.01, -1.0]),
                )
                name = chance.choice([*NAMES, HANGING])
                tasks.append(asyncio.create_task(stage.ask(model(name), chance.randrange(6), want)))
            case "cancel" if tasks:
                chance.choice(tasks).cancel()
            case "kill":
                stage.kill()
            case "unload":
                stage.herd.unload(chance.choice(NAMES))
            case "ready":
                stage.launcher.ready.set()
            case _:
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
    return tasks


@pytest.mark.parametrize("seed", range(40))
async def test_every_request_ends_and_nothing_is_left(seed: int) -> None:
    async with fake_stage(stall=0.05) as stage:
        tasks = await history(stage, random.Random(seed))
        stage.launcher.ready.set()
        await soon(lambda: all(task.done() for task in tasks), "the end of every request", within=20)
        for task in tasks:
            assert task.cancelled() or isinstance(task.exception(), TropaError | None)
        await stage.rested()


@pytest.mark.parametrize("seed", range(20))
async def test_a_stop_in_the_middle_ends_all(seed: int) -> None:
    async with fake_stage(stall=0.05) as stage:
        tasks = await history(stage, random.Random(1000 + seed))
        await stage.herd.stop()
        assert not stage.launcher.alive
        for end in await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10):
            assert isinstance(end, int | TropaError | asyncio.CancelledError)


async def test_a_load_for_which_memory_did_not_suffice_is_tried_once_more() -> None:
    async with fake_stage() as stage:
        with pytest.raises(Refused, match="out of memory") as caught:
            await stage.ask(model("b-oom"))
        assert caught.value.refusal is Refusal.OUT_OF_MEMORY
        assert stage.launcher.loads == ["b-oom", "b-oom"]


async def test_a_model_too_big_for_the_machine_is_refused_with_both_numbers() -> None:
    async with fake_stage() as stage:
        with pytest.raises(Refused, match="requires more system memory") as caught:
            await stage.ask(model("huge", 20_000 * MIB))
        assert caught.value.refusal is Refusal.TOO_BIG
        assert stage.launcher.loads == []


async def test_the_queue_has_an_end() -> None:
    async with fake_stage(replace(POLICY, max_queue=3)) as stage:
        asked = [asyncio.create_task(stage.ask(model("a-slow"))) for _ in range(6)]
        await soon(lambda: sum(task.done() for task in asked) == 3, "three refusals")
        for task in asked[3:]:
            error = task.exception()
            assert isinstance(error, Refused)
            assert error.refusal is Refusal.QUEUE_FULL
            assert str(error) == "server busy, please try again.  maximum pending requests exceeded"
        stage.launcher.ready.set()
        await asyncio.gather(*asked[:3])


async def test_those_in_the_queue_are_served_in_turn() -> None:
    order: list[int] = []

    async def ask(stage: FakeStage, number: int) -> None:
        async with stage.slot():
            order.append(number)
            await asyncio.sleep(0)

    async with fake_stage() as stage:
        await asyncio.gather(*(ask(stage, number) for number in range(20)))
    assert order == sorted(order)


async def test_a_crash_of_one_model_is_no_matter_to_another() -> None:
    async with fake_stage() as stage:
        began = asyncio.Event()
        serving = asyncio.create_task(stage.ask(model("a"), words=300, began=began))
        await began.wait()
        with pytest.raises(Refused, match="SIGSEGV"):
            await stage.ask(model("b-brittle"))
        assert await serving == 300
