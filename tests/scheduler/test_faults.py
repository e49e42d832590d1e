"""Loads that fail, runners that die."""

from __future__ import annotations

from dataclasses import replace

from tests.scheduler.desk import CALM, Desk
from tropa.scheduler.demand import Want


def test_a_failed_load_gives_its_reason_to_those_who_waited_for_it() -> None:
    desk = Desk(memory=10)
    desk.ask(1, "m")
    desk.ask(2, "m")
    assert desk.failed("m", "invalid file magic") == [
        "refuse 1 load-failed: invalid file magic",
        "refuse 2 load-failed: invalid file magic",
    ]
    assert desk.ask(3, "m") == ["load m'"]  # the next one may try again, also before the old one is gone
    desk.gone("m")


def test_more_attempts_if_asked_for() -> None:
    desk = Desk(memory=10, policy=replace(CALM, load_attempts=2))
    desk.ask(1, "m", need=8)
    assert desk.failed("m") == []
    assert desk.gone("m") == ["load m"]
    assert desk.failed("m", "bad file") == ["refuse 1 load-failed: bad file"]


def test_memory_of_a_failed_load_counts_until_it_is_gone() -> None:
    desk = Desk(memory=10)
    desk.ask(1, "m", need=8)
    desk.failed("m")
    assert desk.ask(2, "n", need=8) == []
    assert desk.gone("m") == ["load n"]


def test_out_of_memory_makes_room_and_tries_once_more() -> None:
    desk = Desk(memory=10)
    desk.load(1, "idle", need=2)
    desk.done(1)
    desk.ask(2, "m", need=4)
    assert desk.failed("m", "cudaMalloc failed", oom=True) == ["unload idle"]
    assert desk.gone("m") == []
    assert desk.gone("idle") == ["load m"]
    assert desk.loads["m"].placement.promised == {"cpu": 5}  # a quarter more than predicted
    [refusal] = desk.failed("m", "cudaMalloc failed", oom=True)
    assert refusal.startswith("refuse 2 out-of-memory: out of memory while loading m, also with room made")
    desk.gone("m")
    assert desk.ask(3, "m", need=4) == ["load m"]


def test_a_model_that_always_fails_does_not_stand_first_for_ever() -> None:
    desk = Desk(memory=10, policy=replace(CALM, load_attempts=3))
    desk.ask(1, "bad", need=8)
    desk.ask(2, "good", need=8)
    desk.ask(3, "bad", need=8)
    desk.failed("bad")
    assert desk.gone("bad") == ["load bad"]  # tried again at once
    desk.failed("bad")
    assert desk.gone("bad") == ["load good"]


def test_each_request_ends_after_its_own_last_try() -> None:
    """Found by the simulation: tries made for others came in between, so one request was tried for ever."""
    desk = Desk(memory=10)
    threads = Want(num_thread=2)
    desk.ask(1, "m", need=4, client="a", want=threads)
    desk.ask(2, "m", need=4, client="a", want=threads)
    desk.failed("m", oom=True)
    desk.ask(3, "m", need=4, client="b", want=Want(num_thread=3))
    desk.gone("m")
    for _ in range(5):
        said = desk.failed("m", oom=True) + desk.gone("m")
        if any(words.startswith("refuse 2") for words in said):
            break
    else:
        raise AssertionError("request 2 never ended")


def test_out_of_memory_shrinks_what_was_our_own_choice() -> None:
    from tests.scheduler.desk import model

    policy = replace(CALM, num_parallel=None, default_context=400, small_context=100)
    desk = Desk(memory=10_000, policy=policy)
    desk.ask(1, model("m", 10, kv=1))
    assert (desk.loads["m"].placement.slots, desk.loads["m"].placement.context) == (4, 400)
    desk.failed("m", oom=True)
    assert desk.gone("m") == ["load m"]
    assert (desk.loads["m"].placement.slots, desk.loads["m"].placement.context) == (1, 100)


def test_those_waiting_for_a_runner_that_died_get_another() -> None:
    desk = Desk(memory=10)
    desk.load(1, "m", need=8)
    desk.ask(2, "m", need=8)
    assert desk.died("m") == []
    assert desk.done(1) == []  # its client was told by the shell
    assert desk.gone("m") == ["load m"]
    assert desk.ready("m") == ["grant 2"]


def test_a_crash_loop_ends() -> None:
    desk = Desk(memory=10)
    desk.load(1, "m", need=8)
    desk.ask(2, "m", need=8)
    desk.ask(3, "m", need=8)
    desk.died("m")
    desk.done(1)
    desk.gone("m")
    assert desk.ready("m") == ["grant 2"]
    desk.died("m")
    desk.done(2)
    desk.ask(4, "m", need=8)
    desk.gone("m")
    assert desk.ready("m") == ["grant 3"]
    assert desk.died("m", "signal 11") == ["refuse 4 crashed: m died 3 times in a row: signal 11"]


def test_a_finished_request_ends_the_count_of_deaths() -> None:
    desk = Desk(memory=10)
    number = 0
    for _ in range(5):
        number += 1
        desk.load(number, "m", need=8)
        desk.done(number)
        number += 1
        desk.ask(number, "m", need=8)
        assert desk.died("m") == []
        desk.done(number)
        desk.gone("m")


def test_late_words_of_a_runner_told_to_leave_change_nothing() -> None:
    desk = Desk(memory=10)
    desk.load(1, "m", keep_alive=0.0)
    assert desk.done(1) == ["unload m"]
    assert desk.died("m") == []
    assert desk.failed("m") == []
    assert desk.ready("m") == []
    assert desk.gone("m") == []
    assert desk.gone("m") == []


def test_gone_without_a_word_is_a_death() -> None:
    desk = Desk(memory=10)
    desk.load(1, "m", need=8)
    desk.ask(2, "m", need=8)
    assert desk.gone("m") == ["load m"]
