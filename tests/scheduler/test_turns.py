"""Who runs, who waits, who leaves."""

from __future__ import annotations

from dataclasses import replace

from tests.scheduler.desk import CALM, Desk, model
from tropa.scheduler.demand import Want
from tropa.scheduler.policy import Policy


def patient(**more: float) -> Policy:
    return replace(CALM, patience=3.0, residency_least=10.0, residency_most=10.0, **more)  # type: ignore[arg-type]


def test_busy_model_is_never_evicted() -> None:
    desk = Desk(memory=10)
    assert desk.ask(1, "a", need=8) == ["load a"]
    assert desk.ready("a") == ["grant 1"]
    assert desk.ask(2, "b", need=8) == []  # a is serving, so b waits
    assert desk.done(1) == ["unload a"]
    assert desk.gone("a") == ["load b"]  # memory is free once the child is gone, not before
    assert desk.ready("b") == ["grant 2"]
    assert desk.replays()


def test_models_that_fit_side_by_side_load_at_the_same_time() -> None:
    desk = Desk(memory=10)
    assert desk.ask(1, "a", need=5) == ["load a"]
    assert desk.ask(2, "b", need=5) == ["load b"]
    assert desk.ready("b") == ["grant 2"]
    assert desk.ready("a") == ["grant 1"]


def test_a_loaded_model_never_waits_for_the_load_of_another() -> None:
    desk = Desk(memory=10)
    desk.load(1, "a", need=5)
    desk.done(1)
    assert desk.ask(2, "b", need=5) == ["load b"]
    assert desk.ask(3, "a", need=5) == ["grant 3"]


def test_a_loaded_model_is_served_while_a_third_waits_for_room() -> None:
    desk = Desk(memory=10, policy=patient())
    desk.load(1, "a", need=8)
    desk.ask(2, "b", need=8)
    desk.ask(3, "a", need=8)
    assert desk.done(1) == ["grant 3"]  # before patience ends it goes on serving
    assert desk.done(3) == ["unload a"]  # idle, it makes room at once


def test_promised_memory_counts_before_it_is_used() -> None:
    desk = Desk(memory=10)
    assert desk.ask(1, "a", need=6) == ["load a"]
    desk.see(10)  # the OS sees nothing of it yet
    assert desk.ask(2, "b", need=6) == []


def test_a_small_model_goes_past_a_big_one_that_waits() -> None:
    desk = Desk(memory=10)
    desk.load(1, "a", need=6)
    assert desk.ask(2, "big", need=9) == []
    assert desk.ask(3, "small", need=1) == ["load small"]


def test_but_not_with_memory_the_big_one_counts_on() -> None:
    desk = Desk(memory=10)
    desk.load(1, "a", need=6)
    assert desk.ask(2, "big", need=9) == []
    assert desk.ask(3, "medium", need=3) == []  # fits beside a, but not beside big
    assert desk.done(1) == ["unload a"]
    assert desk.gone("a") == ["load big"]


def test_a_reserved_place_is_taken_even_if_it_would_not_be_found_again() -> None:
    """Found by the simulation: layers are dealt to GPUs in order of room, so with less room on one of them a place was
    missed that was there, and small models came in before the big one again and again."""
    desk = Desk(memory=20, gpus=(10, 10, 10))
    for gpu, size in enumerate((6, 8, 10)):
        desk.ask(gpu, f"b{gpu}", need=size, want=Want(main_gpu=gpu))
        desk.ready(f"b{gpu}")
    desk.ask(3, model("big", 15, layers=3, output=1, compute=1))
    assert [desk.done(gpu) for gpu in range(3)] == [["unload b0"], ["unload b1"], ["unload b2"]]
    assert desk.ask(4, model("small", 6, layers=3)) == ["load small"]  # beside the reserved place
    assert desk.loads["small"].placement.promised == {"cpu": 0, "cuda:0": 4, "cuda:1": 2}
    assert [desk.gone(f"b{gpu}") for gpu in range(3)] == [[], [], ["load big"]]


def test_a_hot_model_cannot_keep_a_rare_one_out() -> None:
    desk = Desk(memory=10, policy=patient())
    desk.load(1, "hot", need=8)
    desk.ask(2, "hot", need=8)
    assert desk.ask(3, "rare", need=8) == []
    desk.at = 9.0
    desk.ask(4, "hot", need=8)
    assert desk.done(1) == ["grant 2"]  # in its residency it serves on
    assert desk.wait(1.0) == []
    assert any("takes no more requests" in words for words in desk.said)
    assert desk.ask(5, "hot", need=8) == []
    assert desk.done(2) == ["unload hot"]  # 4 and 5 wait for their next turn
    assert desk.gone("hot") == ["load rare"]
    assert desk.ready("rare") == ["grant 3"]
    assert desk.done(3) == ["unload rare"]
    assert desk.gone("rare") == ["load hot"]
    assert desk.ready("hot") == ["grant 4"]


def test_the_turn_goes_round() -> None:
    """A hot model with an old backlog goes behind whoever already waits."""
    desk = Desk(memory=10, policy=replace(CALM, patience=1.0))
    desk.load(1, "a", need=8)
    for number in range(2, 6):
        desk.ask(number, "a", need=8)
    desk.ask(10, "b", need=8)
    desk.ask(11, "c", need=8)
    desk.wait(1.0)
    assert desk.done(1) == ["unload a"]
    assert desk.gone("a") == ["load b"]
    assert desk.ready("b") == ["grant 10"]
    assert desk.done(10) == ["unload b"]
    assert desk.gone("b") == ["load c"]  # not a, whose requests are older
    desk.ready("c")
    assert desk.done(11) == ["unload c"]
    assert desk.gone("c") == ["load a"]


def test_a_runner_goes_back_to_work_when_its_room_is_no_longer_needed() -> None:
    desk = Desk(memory=10, policy=replace(CALM, num_parallel=2))
    desk.load(1, "a", need=8)
    desk.ask(2, "a", need=8)
    desk.ask(3, "b", need=8)
    assert desk.ask(4, "a", need=8) == []  # a drains for b
    assert desk.done(1) == []
    assert desk.cancel(3) == ["grant 4"]


def test_idle_for_a_moment_within_its_residency_is_not_idle() -> None:
    desk = Desk(memory=10, policy=patient(linger=0.5))
    desk.load(1, "a", need=8)
    desk.ask(2, "b", need=8)
    desk.at = 5.0
    assert desk.done(1) == []
    desk.at = 5.3
    assert desk.ask(3, "a", need=8) == ["grant 3"]  # the client came back at once
    assert desk.done(3) == []
    assert desk.wait(0.5) == ["unload a"]


def test_as_few_leave_as_possible_and_those_missed_least() -> None:
    desk = Desk(memory=12)
    for number, (name, need) in enumerate((("a", 4), ("b", 2), ("c", 5))):
        desk.load(number, name, need=need)
        desk.at += 1.0
        desk.done(number)
    # b would be next by age, but c's going is enough and needed anyway; a, missed least, does it alone.
    assert desk.ask(9, "d", need=5) == ["unload a"]


def test_what_took_long_to_load_is_missed_more() -> None:
    desk = Desk(memory=10)
    desk.ask(1, "slow", need=5)
    desk.at = 60.0
    desk.ready("slow")
    desk.load(2, "quick", need=5)
    desk.done(1)
    desk.at = 61.0
    desk.done(2)
    assert desk.ask(3, "c", need=5) == ["unload quick"]  # though idle for less long


def test_no_more_runners_than_allowed() -> None:
    desk = Desk(memory=10, policy=replace(CALM, max_loaded=2))
    desk.load(1, "a")
    desk.load(2, "b")
    assert desk.ask(3, "c") == []
    assert desk.done(2) == ["unload b"]
    assert desk.gone("b") == ["load c"]


def test_automatic_limits_of_runners() -> None:
    desk = Desk(memory=100)
    for number in range(3):
        desk.load(number, f"m{number}")
    assert desk.ask(3, "m3") == []  # 3 on a CPU
    desk = Desk(memory=100, gpus=(10, 10))
    for number in range(6):
        desk.load(number, f"m{number}")
    assert desk.ask(6, "m6") == []  # 3 x GPUs


def test_pinned_yields_only_when_nothing_else_can() -> None:
    desk = Desk(memory=10)
    desk.load(1, "pinned", need=5, keep_alive=-1.0)
    desk.done(1)
    desk.load(2, "other", need=5)
    assert desk.ask(3, "c", need=5) == []  # waits for the busy other rather than take the idle pinned one
    assert desk.done(2) == ["unload other"]
    assert desk.gone("other") == ["load c"]
    desk.ready("c")
    desk.done(3)
    assert sorted(desk.ask(4, "big", need=9)) == ["unload c", "unload pinned"]


def test_kept_for_ever_by_default_is_not_pinned() -> None:
    desk = Desk(memory=10, policy=replace(CALM, keep_alive=float("inf")))
    desk.load(1, "a", need=8)
    desk.done(1)
    assert desk.ask(2, "b", need=8) == ["unload a"]


def test_a_model_that_needs_several_to_leave_drains_them_together() -> None:
    desk = Desk(memory=10, policy=patient())
    desk.load(1, "a", need=5)
    desk.at = 8.0
    desk.load(2, "b", need=5)
    desk.ask(3, "big", need=10)
    desk.at = 12.0  # a has served enough, b not
    desk.ask(4, "a", need=5)
    assert desk.done(1) == ["grant 4"]
    desk.at = 18.0
    desk.wait(0.0)
    assert desk.done(4) == ["unload a"]
    assert desk.done(2) == ["unload b"]
    assert desk.gone("a") == []
    assert desk.gone("b") == ["load big"]


def test_one_model_with_one_runner() -> None:
    desk = Desk(memory=10)
    assert desk.ask(1, model("w", 2)) == ["load w"]
    assert desk.ask(2, model("w", 2)) == []
    assert desk.ready("w") == ["grant 1"]
    assert desk.done(1) == ["grant 2"]
