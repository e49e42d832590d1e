"""Whose memory is whose."""

from __future__ import annotations

from dataclasses import replace

from tests.scheduler.desk import CALM, Desk, model
from tropa.scheduler.machine import Usage


def available(desk: Desk, device: str = "cpu") -> int:
    return desk.scheduler.state.ledger.free()[device]


def test_what_others_use_is_not_ours_to_give() -> None:
    desk = Desk(memory=100)
    desk.see(60)
    assert available(desk) == 60


def test_a_loaded_runners_memory_is_not_counted_twice() -> None:
    desk = Desk(memory=100)
    desk.load(1, "m", need=30)
    desk.at = 1.0
    desk.see(70)
    assert available(desk) == 70
    desk.see(60)  # somebody else took 10
    assert available(desk) == 60


def test_a_loading_runner_may_have_taken_any_part_of_its_promise() -> None:
    desk = Desk(memory=100)
    desk.ask(1, "m", need=30)
    for free in (100, 85, 70):
        desk.see(free)
        assert available(desk) == 70
    desk.see(60)  # now somebody else must have 10
    assert available(desk) == 60


def test_what_a_loading_runner_is_seen_to_use_settles_it() -> None:
    desk = Desk(memory=100)
    desk.ask(1, "m", need=30)
    desk.measure((75,), Usage(desk.runners["m"], {"cpu": 20}))
    assert available(desk) == 65  # 5 are somebody else's


def test_a_leaving_runner_counts_until_it_is_gone_whatever_is_measured() -> None:
    desk = Desk(memory=100)
    desk.load(1, "m", need=30, keep_alive=0.0)
    desk.done(1)
    desk.see(95)
    assert available(desk) == 70
    desk.gone("m")
    assert available(desk) == 100
    desk.see(90)
    assert available(desk) == 90


def test_measured_use_replaces_the_promise() -> None:
    desk = Desk(memory=100)
    desk.ask(1, "m", need=30)
    desk.ready("m", used={"cpu": 20})
    assert available(desk) == 80
    desk.ask(2, "n", need=30)
    desk.ready("n", used={"cpu": 45})
    assert available(desk) == 35


def test_mapped_weights_look_free_but_are_ours() -> None:
    """The OS counts file-backed pages as available; so does nobody else use them."""
    desk = Desk(memory=100)
    desk.load(1, "m", need=40)
    desk.at = 1.0
    desk.measure((50,), Usage(desk.runners["m"], {"cpu": 40}, mapped=40))
    assert desk.scheduler.state.ledger.foreign("cpu") == 50
    assert available(desk) == 10


def test_a_prompt_cache_stays_promised_after_the_load() -> None:
    desk = Desk(memory=100)
    desk.ask(1, model("m", 30, prompt_cache=20))
    desk.ready("m", used={"cpu": 30})
    assert available(desk) == 50
    desk.at = 1.0
    desk.measure((55,), Usage(desk.runners["m"], {"cpu": 45}))  # it has begun to fill
    assert available(desk) == 50
    desk.measure((25,), Usage(desk.runners["m"], {"cpu": 75}))  # more than it said
    assert available(desk) == 25


def test_budgets() -> None:
    policy = replace(CALM, memory_limit=50, device_limits=(("cuda:0", 20),), gpu_overhead=5)
    desk = Desk(memory=100, gpus=(30, 30), policy=policy)
    ledger = desk.scheduler.state.ledger
    assert ledger.capacity == {"cpu": 100, "cuda:0": 20, "cuda:1": 25, "*": 50}
    desk.load(1, "a", need=25)
    desk.load(2, "b", need=20)
    assert desk.ask(3, model("c", 6)) == []  # 5 are left of the whole


def test_a_measurement_older_than_the_load_it_is_reported_after_is_not_taken_for_certain() -> None:
    desk = Desk(memory=100)
    desk.ask(1, "m", need=30)
    desk.at = 2.0
    desk.ready("m", used={"cpu": 30})
    desk.at = 1.0
    desk.see(90)  # taken while m had 10 of its 30
    assert available(desk) == 70
