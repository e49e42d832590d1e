"""Every request ends: granted, refused, or cancelled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scheduler.desk import CALM, Desk, model
from tropa.scheduler import texts
from tropa.scheduler.demand import Want


def test_too_big_is_refused_before_anything_is_unloaded() -> None:
    desk = Desk(memory=10 << 30)
    desk.load(1, "a", need=8 << 30)
    desk.done(1)
    assert desk.ask(2, "huge", need=(56 << 30) // 5) == [
        "refuse 2 too-big: model requires more system memory (11.2 GiB) than is available (10.0 GiB)"
    ]


def test_too_big_for_the_users_budget() -> None:
    desk = Desk(memory=10 << 20, policy=replace(CALM, memory_limit=3 << 20))
    assert desk.ask(1, "m", need=4 << 20) == [
        "refuse 1 too-big: model requires more system memory (4.0 MiB) than is available (3.0 MiB)"
    ]
    desk = Desk(memory=10 << 20, policy=replace(CALM, device_limits=(("cpu", 3 << 20),)))
    assert desk.ask(1, "m", need=4 << 20) == [
        "refuse 1 too-big: model requires more system memory (4.0 MiB) than is available (3.0 MiB)"
    ]


def test_too_big_while_others_use_the_memory_is_decided_on_a_fresh_measurement() -> None:
    desk = Desk(memory=10, policy=replace(CALM, fresh=1.0))
    desk.see(4)
    desk.at = 60.0
    assert desk.ask(1, "m", need=8) == ["measure"]
    assert desk.see(10) == ["load m"]  # the others had left since
    desk.ready("m")
    desk.done(1)
    desk.wait(300.0)
    desk.gone("m")
    desk.see(4)
    desk.at += 60.0
    assert desk.ask(2, "m", need=8) == ["measure"]
    assert desk.see(4) == [
        "refuse 2 too-big: model requires more system memory (8 B) than is available (4 B)"
    ]


def test_num_gpu_that_no_layout_gives() -> None:
    desk = Desk(memory=100, gpus=(10,))
    assert desk.ask(1, model("m", 40, layers=4), want=Want(num_gpu=3)) == [
        "refuse 1 too-big: memory layout cannot be allocated with num_gpu = 3"
    ]


def test_the_queue_is_bounded_with_the_exact_text() -> None:
    desk = Desk(memory=10, policy=replace(CALM, max_queue=2))
    desk.load(1, "a", need=8)
    assert desk.ask(2, "a", need=8) == []
    assert desk.ask(3, "b", need=8) == []
    assert desk.ask(4, "c", need=8) == [f"refuse 4 queue-full: {texts.QUEUE_FULL}"]
    assert texts.QUEUE_FULL == "server busy, please try again.  maximum pending requests exceeded"
    assert desk.ask(5, "a", need=8) == [f"refuse 5 queue-full: {texts.QUEUE_FULL}"]
    desk.cancel(2)
    assert desk.ask(6, "c", need=8) == []


def test_a_full_queue_does_not_keep_out_who_need_not_wait() -> None:
    desk = Desk(memory=10, policy=replace(CALM, max_queue=1))
    desk.load(1, "small")
    desk.done(1)
    desk.load(2, "a", need=8)
    desk.ask(3, "a", need=8)
    assert desk.ask(4, "small") == ["grant 4"]


@pytest.mark.parametrize(
    ("want", "said"),
    [
        (Want(context=0), "num_ctx = 0"),
        (Want(context=-5), "num_ctx = -5"),
        (Want(slots=0), "num_parallel = 0"),
        (Want(num_batch=0), "num_batch = 0"),
        (Want(main_gpu=2), "main_gpu = 2 is not possible: this machine has GPUs 0 to 1"),
        (Want(main_gpu=-1), "main_gpu = -1"),
    ],
)
def test_impossible_options_are_refused_by_name(want: Want, said: str) -> None:
    desk = Desk(memory=10, gpus=(10, 10))
    [refusal] = desk.ask(1, model("m"), want=want)
    assert refusal.startswith("refuse 1 bad-option")
    assert said in refusal


def test_clients_take_turns() -> None:
    desk = Desk(memory=10)
    desk.load(1, "m", client="hog")
    for number in range(2, 6):
        desk.ask(number, "m", client="hog")
    desk.ask(10, "m", client="one")
    desk.ask(11, "m", client="two")
    order = []
    serving = 1
    for _ in range(6):
        [grant] = desk.done(serving)
        serving = int(grant.split()[1])
        order.append(serving)
    assert order == [10, 11, 2, 3, 4, 5]  # the hog has had its turn in this round


def test_cancelling_costs_nothing_and_nobody() -> None:
    desk = Desk(memory=10)
    desk.load(1, "m")
    for number in range(2, 5):
        desk.ask(number, "m", client=str(number))
    assert desk.cancel(3) == []
    assert desk.cancel(3) == []
    assert desk.cancel(1) == []  # granted: its slot is free when it is released
    assert desk.done(1) == ["grant 2"]
    assert desk.done(2) == ["grant 4"]


def test_a_load_that_nobody_waits_for_is_given_up() -> None:
    desk = Desk(memory=10)
    desk.ask(1, "a", need=8)
    desk.ask(2, "a", need=8)
    assert desk.cancel(1) == []  # somebody else waits for it
    assert desk.cancel(2) == ["unload a"]
    assert desk.ready("a") == []  # it crossed
    assert desk.ask(3, "b", need=8) == []
    assert desk.gone("a") == ["load b"]


def test_shutdown_refuses_and_unloads_everything() -> None:
    desk = Desk(memory=10)
    desk.load(1, "a", need=4)
    desk.ask(2, "a", need=4)
    desk.ask(3, "b", need=6)
    desk.ask(4, "c", need=6)
    said = desk.shutdown()
    assert sorted(said) == [
        *(f"refuse {n} shutdown: server is shutting down" for n in (2, 3, 4)),
        "unload a",
        "unload b",
    ]
    assert desk.ask(5, "a") == ["refuse 5 shutdown: server is shutting down"]
    assert desk.done(1) == []
    assert desk.gone("a") == desk.gone("b") == []
    assert not desk.scheduler.state.runners
    assert not desk.scheduler.state.requests


def test_nothing_is_loaded_before_the_machine_is_known() -> None:
    from tropa.scheduler.actions import Measure
    from tropa.scheduler.core import Scheduler
    from tropa.scheduler.events import Asked

    [action] = Scheduler(checked=True).handle(Asked(0.0, 1, "c", "m", model("m")))
    assert isinstance(action, Measure)
