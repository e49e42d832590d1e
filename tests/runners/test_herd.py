"""What the herd promises, on the fake launcher and on real engines alike: every request ends, and nothing leaks."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.runners.stages import SLOTS, Stage, fake_stage, real_stage
from tests.support.processes import soon
from tropa.runners.errors import RunnerDied
from tropa.runners.herd import Refused
from tropa.runners.rundir import RunDir
from tropa.scheduler.actions import Refusal
from tropa.scheduler.demand import Want
from tropa.scheduler.view import RunnerState

pytestmark = pytest.mark.usefixtures("no_child_left")

STALL = 0.5


@pytest.fixture
def stall() -> float | None:
    """Seconds after which a silent runner counts as hung; tests about that set it."""
    return None


stalling = pytest.mark.parametrize("stall", [STALL])


@pytest.fixture(params=["fake", "real"])
async def stage(
    request: pytest.FixtureRequest,
    rundir: RunDir,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    stall: float | None,
) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        if request.param == "fake":
            yield await stack.enter_async_context(fake_stage(stall=stall))
        else:
            state = tmp_path_factory.getbasetemp() / "state-of-real-stages"
            yield await stack.enter_async_context(real_stage(rundir, tmp_path, state, stall=stall))


async def cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@asynccontextmanager
async def granted(stage: Stage) -> AsyncIterator[asyncio.Task[object]]:
    """A request that has a slot and holds on to it."""
    has = asyncio.Event()

    async def hold() -> None:
        async with stage.slot():
            has.set()
            await asyncio.Event().wait()

    task: asyncio.Task[object] = asyncio.create_task(hold())
    await has.wait()
    yield task
    if not task.done():
        await cancelled(task)


async def test_a_request_loads_its_model_and_is_answered(stage: Stage) -> None:
    assert await stage.ask(words=3) >= 3
    (runner,) = stage.runners()
    assert (runner.state, runner.busy, runner.slots, runner.context) == (RunnerState.READY, 0, SLOTS, 256)
    assert stage.processes() == 1


async def test_requests_share_a_runner_up_to_its_slots_and_the_rest_wait(stage: Stage) -> None:
    async with granted(stage), granted(stage):
        third = asyncio.create_task(stage.ask())
        await soon(lambda: stage.waiting() == 1, "a request that waits")
        assert stage.busy() == SLOTS
        assert not third.done()
    assert await third >= 3
    assert stage.processes() == 1


async def test_many_requests_all_end(stage: Stage) -> None:
    counts = await asyncio.gather(*(stage.ask(stage.model("ab"[i % 2]), words=1 + i % 4) for i in range(24)))
    assert all(count >= 1 + i % 4 for i, count in enumerate(counts))
    await stage.rested()


async def test_a_third_model_takes_the_place_of_one_that_is_idle(stage: Stage) -> None:
    for name in "abc":
        await stage.ask(stage.model(name))
    await soon(lambda: stage.processes() == 2, "the end of one")
    names = {runner.name for runner in stage.runners() if runner.state is RunnerState.READY}
    assert len(names) == 2
    assert "c" in names


async def test_a_load_that_fails_refuses_with_the_reason(stage: Stage) -> None:
    broken = stage.broken()
    results = await asyncio.gather(*(stage.ask(broken) for _ in range(5)), return_exceptions=True)
    for result in results:
        assert isinstance(result, Refused)
        assert result.refusal is Refusal.LOAD_FAILED
        assert "broken" in str(result) or "alien" in str(result)
    await stage.rested()
    assert await stage.ask() >= 3


async def test_an_engine_killed_while_loading_is_a_failed_load(stage: Stage) -> None:
    asking = asyncio.create_task(stage.ask(stage.model("b-slow")))
    await soon(lambda: stage.processes() == 1, "a process")
    stage.kill()
    with pytest.raises(Refused, match="signal: SIGKILL") as caught:
        await asking
    assert caught.value.refusal is Refusal.LOAD_FAILED
    await stage.rested()


async def test_a_runner_killed_while_it_serves_fails_those_and_serves_the_next(stage: Stage) -> None:
    began = asyncio.Event()
    serving = asyncio.create_task(stage.ask(words=10_000, began=began))
    await began.wait()
    stage.kill()
    with pytest.raises(RunnerDied, match="signal: SIGKILL"):
        await serving
    assert await stage.ask() >= 3
    await stage.rested()


async def test_those_who_wait_do_not_inherit_the_slots_of_the_dead(stage: Stage) -> None:
    """The failure of a request that was served frees its slot: but of a runner that is no more."""
    began = asyncio.Event()
    serving = [asyncio.create_task(stage.ask(words=10_000, began=began)) for _ in range(SLOTS)]
    waiting = [asyncio.create_task(stage.ask()) for _ in range(5)]
    await began.wait()
    stage.kill()
    assert all(isinstance(end, RunnerDied) for end in await asyncio.gather(*serving, return_exceptions=True))
    assert all(count >= 3 for count in await asyncio.gather(*waiting))


async def test_those_who_wait_for_a_runner_that_is_killed_get_another(stage: Stage) -> None:
    async with granted(stage), granted(stage):
        waiting = [asyncio.create_task(stage.ask()) for _ in range(3)]
        await soon(lambda: stage.waiting() == 3, "requests that wait")
        stage.kill()
        assert all(count >= 3 for count in await asyncio.gather(*waiting))


async def test_a_runner_killed_while_idle_is_forgotten_and_brought_back(stage: Stage) -> None:
    await stage.ask()
    stage.kill()
    await soon(lambda: not stage.runners(), "its end")
    assert await stage.ask() >= 3


@stalling
async def test_a_runner_that_hangs_is_ended(stage: Stage) -> None:
    await stage.ask()
    async with stage.slot() as slot:
        stream = slot.stream(
            "/completion", {"prompt": "Hello", "n_predict": 230, "ignore_eos": True, "stream": True}
        )
        await anext(stream)
        stage.freeze()
        with pytest.raises(RunnerDied):
            async for _ in stream:
                pass
    assert await stage.ask() >= 3
    assert stage.processes() == 1


@stalling
async def test_a_client_that_reads_nothing_for_long_hangs_nobody(stage: Stage) -> None:
    await stage.ask()
    async with stage.slot() as slot:
        stream = slot.stream(
            "/completion", {"prompt": "Hello", "n_predict": 50, "ignore_eos": True, "stream": True}
        )
        await anext(stream)
        await asyncio.sleep(2 * STALL)  # the thing itself, not a wait for it
        assert [runner.busy for runner in stage.runners()] == [1]
        async for _ in stream:
            pass


async def test_cancelled_in_the_queue(stage: Stage) -> None:
    async with granted(stage), granted(stage):
        waiting: asyncio.Task[object] = asyncio.create_task(stage.ask())
        await soon(lambda: stage.waiting() == 1, "a request that waits")
        await cancelled(waiting)
        assert stage.waiting() == 0
        assert stage.busy() == SLOTS
    await stage.rested()


async def test_cancelled_while_loading_gives_the_load_up(stage: Stage) -> None:
    waiting: asyncio.Task[object] = asyncio.create_task(stage.ask(stage.model("b-slow")))
    await soon(lambda: stage.processes() == 1, "a process")
    await cancelled(waiting)
    await soon(lambda: not stage.runners() and not stage.processes(), "the end of the load")


async def test_cancelled_while_granted(stage: Stage) -> None:
    async with granted(stage) as holding:
        assert stage.busy() == 1
        await cancelled(holding)
        assert stage.busy() == 0
    await stage.rested()


@pytest.mark.parametrize("steps", range(24))
async def test_cancelled_at_any_moment_leaks_nothing(stage: Stage, steps: int) -> None:
    asking: asyncio.Task[object] = asyncio.create_task(stage.ask(words=5))
    for _ in range(steps):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await stage.rested()


async def test_cancelled_in_the_very_moment_of_the_grant_leaks_no_slot(stage: Stage) -> None:
    """The first to go makes room for the second, which is cancelled before it has heard of it."""
    async with granted(stage) as first, granted(stage):
        second: asyncio.Task[object] = asyncio.create_task(stage.ask())
        await soon(lambda: stage.waiting() == 1, "a request that waits")
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert (stage.busy(), stage.waiting()) == (1, 0)
        async with granted(stage):
            assert stage.busy() == SLOTS


async def test_cancelled_in_the_moment_of_a_refusal(stage: Stage) -> None:
    asking: asyncio.Task[object] = asyncio.create_task(stage.ask())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(stage.herd.stop())
    asking.cancel()
    await asyncio.gather(asking, stopping, return_exceptions=True)
    await stage.rested()


async def test_unload_ends_an_idle_runner(stage: Stage) -> None:
    await stage.ask()
    stage.herd.unload(stage.model().demand.key)
    await soon(lambda: not stage.runners() and not stage.processes(), "its end")


async def test_unload_lets_those_finish_who_are_served(stage: Stage) -> None:
    async with granted(stage):
        stage.herd.unload(stage.model().demand.key)
        assert stage.busy() == 1
    await soon(lambda: not stage.runners() and not stage.processes(), "its end")


async def test_keep_alive_0_unloads_at_the_end_of_the_request(stage: Stage) -> None:
    await stage.ask(want=Want(keep_alive=0.0))
    await soon(lambda: not stage.runners() and not stage.processes(), "its end")


async def test_an_idle_runner_leaves_after_its_keep_alive(stage: Stage) -> None:
    await stage.ask(want=Want(keep_alive=0.05))
    await soon(lambda: not stage.runners() and not stage.processes(), "its end")


async def test_a_pinned_runner_stays(stage: Stage) -> None:
    await stage.ask(want=Want(keep_alive=math.inf))
    (runner,) = stage.runners()
    assert runner.pinned
    assert runner.expires_at == math.inf


async def test_more_context_reloads_once_and_less_does_not(stage: Stage) -> None:
    await stage.ask(want=Want(context=256))
    await stage.ask(want=Want(context=1024))
    (bigger,) = [runner for runner in stage.runners() if runner.state is RunnerState.READY]
    assert bigger.context >= 1024
    for context in (256, 1024, None, 512):
        async with stage.slot(want=Want(context=context)) as slot:
            assert slot.context == (context or bigger.context)
    (same,) = [runner for runner in stage.runners() if runner.state is RunnerState.READY]
    assert same.runner == bigger.runner


@pytest.mark.parametrize("moment", ["idle", "loading", "serving", "waiting"])
async def test_stop_leaves_nothing(stage: Stage, moment: str) -> None:
    tasks = []
    if moment != "loading":
        await stage.ask()
    match moment:
        case "loading":
            tasks = [asyncio.create_task(stage.ask(stage.model("b-slow")))]
            await soon(lambda: stage.processes() == 1, "a process")
        case "serving":
            tasks = [asyncio.create_task(stage.ask(words=10_000))]
            await soon(stage.busy, "a request that is served")
        case "waiting":
            tasks = [asyncio.create_task(stage.ask(words=10_000)) for _ in range(5)]
            await soon(lambda: stage.waiting() == 3, "requests that wait")
    await stage.herd.stop()
    assert not stage.processes()
    assert not stage.runners()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, Refused)
        assert result.refusal is Refusal.SHUTDOWN


async def test_stop_lets_a_running_request_finish_within_its_grace(stage: Stage) -> None:
    await stage.ask()
    began = asyncio.Event()
    serving = asyncio.create_task(stage.ask(words=100, began=began))
    await began.wait()
    await stage.herd.stop(grace=30)
    assert await serving >= 100


async def test_a_second_stop_cuts_the_grace_short(stage: Stage) -> None:
    async with granted(stage):
        stopping = asyncio.create_task(stage.herd.stop(grace=600))
        await asyncio.sleep(0)
        await stage.herd.stop()
        await stopping
        assert not stage.processes()


async def test_after_the_stop_everybody_is_refused(stage: Stage) -> None:
    await stage.herd.stop()
    with pytest.raises(Refused) as caught:
        await stage.ask()
    assert caught.value.refusal is Refusal.SHUTDOWN
