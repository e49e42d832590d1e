"""Reuse rather than reload, contexts and slots."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scheduler.desk import CALM, Desk, model
from tropa.scheduler.demand import Want
from tropa.scheduler.policy import Policy

FOUR = replace(CALM, num_parallel=4)


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("context", [None, 100, 2048, 8192, 1_000_000])
def test_the_same_request_twice_is_one_load(slots: int, context: int | None) -> None:
    """Ollama 0.2.0 multiplied the request's context by the slots and compared it with the runner's per-slot
    value: every request reloaded the model. 0.2.1 mended it; more than the trained context still could."""
    desk = Desk(memory=1 << 40, policy=replace(CALM, num_parallel=slots, default_context=2048))
    m = model("m", 10, kv=1, trained=8192)
    desk.load(1, m, context=context)
    assert desk.loads["m"].placement.context == min(context or 2048, 8192)
    for number in range(2, 2 + slots - 1):
        assert desk.ask(number, m, context=context) == [f"grant {number}"]
    desk.done(1)
    assert desk.ask(9, m, context=context) == ["grant 9"]


def test_an_effective_context_below_the_ask_does_not_reload_for_ever() -> None:
    desk = Desk(memory=1 << 20)
    m = model("m", 10, kv=1)
    desk.ask(1, m, context=1000)
    assert desk.ready("m", context=900) == ["grant 1"]  # the engine gave less
    desk.done(1)
    assert desk.ask(2, m, context=1000) == ["grant 2"]


def test_less_context_is_served_as_it_is() -> None:
    desk = Desk(memory=1 << 20, policy=FOUR)
    m = model("m", 10, kv=1)
    desk.load(1, m, context=1000)
    assert desk.ask(2, m, context=500) == ["grant 2"]
    assert desk.ask(3, m) == ["grant 3"]


def test_more_context_drains_and_reloads_once_upward_in_steps() -> None:
    desk = Desk(memory=1 << 20, policy=replace(FOUR, patience=60.0, residency_least=60.0))
    m = model("m", 10, kv=1, trained=8192)
    desk.load(1, m, context=1000)
    assert desk.ask(2, m, context=1500) == []
    assert desk.ask(3, m, context=500) == []  # a draining runner takes no new work; both go to the next one
    assert desk.done(1) == ["unload m"]
    assert desk.gone("m") == ["load m"]
    assert desk.loads["m"].placement.context == 2048
    assert desk.ready("m") == ["grant 2", "grant 3"]
    assert desk.ask(4, m, context=2000) == ["grant 4"]  # grown into the step: no reload


def test_steps_stop_at_the_trained_length() -> None:
    desk = Desk(memory=1 << 20, policy=FOUR)
    m = model("m", 10, kv=1, trained=1800)
    desk.load(1, m, context=1000)
    desk.done(1)
    assert desk.ask(2, m, context=5000) == ["unload m"]
    assert desk.gone("m") == ["load m"]
    assert desk.loads["m"].placement.context == 1800


def test_never_down_while_hot() -> None:
    desk = Desk(memory=10_000)
    m = model("m", 10, kv=1)
    desk.load(1, m, context=2048)
    desk.ask(2, model("other", 10_000))
    desk.ask(3, m, context=100)
    assert desk.done(1) == ["unload m"]
    assert desk.gone("m") == ["load other"]
    desk.ready("other")
    assert desk.done(2) == ["unload other"]
    assert desk.gone("other") == ["load m"]
    assert desk.loads["m"].placement.context == 2048


def test_cold_it_is_loaded_as_asked() -> None:
    desk = Desk(memory=10_000)
    m = model("m", 10, kv=1)
    desk.load(1, m, context=2048)
    desk.done(1)
    assert desk.wait(300.0) == ["unload m"]
    desk.gone("m")
    assert desk.ask(2, m, context=100) == ["load m"]
    assert desk.loads["m"].placement.context == 100


def test_one_load_serves_all_who_wait() -> None:
    desk = Desk(memory=1 << 20, policy=FOUR)
    desk.load(1, "blocker", need=1 << 20)
    m = model("m", 10, kv=1)
    desk.ask(2, m, context=100)
    desk.ask(3, m, context=3000)
    desk.ask(4, m)
    desk.done(1)
    assert desk.gone("blocker") == ["load m"]
    assert desk.loads["m"].placement.context == 3000
    assert desk.ready("m") == ["grant 2", "grant 3", "grant 4"]


def test_but_is_not_made_too_big_for_one_of_them() -> None:
    desk = Desk(memory=10_000, gpus=(20_000,))
    desk.load(1, "blocker", need=10_000, want=Want(num_gpu=0))
    m = model("m", 10, kv=1)
    desk.ask(2, m, want=Want(num_gpu=0, context=100))
    desk.ask(3, m, context=15_000)  # on a GPU it fits
    assert desk.done(1) == ["unload blocker"]
    assert desk.gone("blocker") == ["load m"]
    assert desk.loads["m"].placement.context == 100
    desk.ready("m")
    assert desk.done(2) == ["unload m"]
    assert desk.gone("m") == ["load m"]
    assert desk.loads["m"].placement.gpus == ("cuda:0",)


def test_slots_are_four_if_memory_allows_else_one() -> None:
    auto = replace(CALM, num_parallel=None, default_context=100, small_context=100)
    m = model("m", 10, kv=1)
    desk = Desk(memory=500, policy=auto)
    desk.load(1, m)
    assert desk.loads["m"].placement.slots == 4
    assert desk.loads["m"].placement.promised["cpu"] == 10 + 4 * 100
    desk = Desk(memory=300, policy=auto)
    desk.load(1, m)
    assert desk.loads["m"].placement.slots == 1


def test_slots_shrink_rather_than_send_another_away() -> None:
    auto = replace(CALM, num_parallel=None, default_context=100, small_context=100)
    desk = Desk(memory=500, policy=auto)
    desk.load(1, "other", need=200)
    desk.done(1)
    assert desk.ask(2, model("m", 10, kv=1)) == ["load m"]
    assert desk.loads["m"].placement.slots == 1


def test_an_automatic_context_depends_on_the_machine_not_on_the_moment() -> None:
    policy = replace(CALM, default_context=400, small_context=100)
    m = model("m", 10, kv=1)
    desk = Desk(memory=500, policy=policy)
    desk.load(1, "other", need=200)
    desk.done(1)
    assert desk.ask(2, m) == ["unload other"]  # 400 tokens fit this machine, so 400 it is
    desk = Desk(memory=300, policy=policy)
    desk.load(1, m)
    assert desk.loads["m"].placement.context == 200


def test_embedding_models_get_slots_and_a_batch_that_holds_an_input() -> None:
    desk = Desk(memory=1 << 20, policy=replace(CALM, num_parallel=None, default_context=2048))
    desk.load(1, model("e", 10, embedding=True, trained=1024))
    placement = desk.loads["e"].placement
    assert (placement.slots, placement.context, placement.batch) == (4, 1024, 1024)


def test_an_architecture_that_cannot_run_in_parallel_gets_one_slot() -> None:
    desk = Desk(memory=1 << 20, policy=FOUR)
    desk.load(1, model("m", 10, max_slots=1))
    assert desk.loads["m"].placement.slots == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Want(num_gpu=33), Want(num_gpu=33)),
        (Want(num_gpu=999), Want(num_gpu=2)),
        (Want(num_gpu=2), Want(num_gpu=-1)),
        (Want(main_gpu=0), Want(main_gpu=0)),
        (Want(num_thread=4), Want()),
        (Want(num_thread=4), Want(num_thread=4)),
        (Want(num_thread=4), Want(num_thread=0)),
        (Want(num_batch=512), Want(num_batch=256)),
        (Want(use_mmap=False), Want(use_mmap=True)),
        (Want(kv_type="q8_0"), Want()),
        (Want(slots=4), Want(slots=2)),
        (Want(context=100), Want(context=50)),
    ],
)
@pytest.mark.parametrize("gpus", [(), (1000,)])
def test_what_does_not_reload(first: Want, second: Want, gpus: tuple[int, ...]) -> None:
    desk = Desk(memory=1000, gpus=gpus)
    desk.load(1, model("m", 10), want=first)
    desk.done(1)
    assert desk.ask(2, model("m", 10), want=second) == ["grant 2"]
    desk.done(2)
    assert desk.ask(3, model("m", 10), want=first) == ["grant 3"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Want(context=100), Want(context=101)),
        (Want(), Want(num_gpu=0)),
        (Want(num_gpu=0), Want(num_gpu=2)),
        (Want(main_gpu=0), Want(main_gpu=1)),
        (Want(), Want(num_thread=4)),
        (Want(num_batch=512), Want(num_batch=1024)),
        (Want(), Want(kv_type="q8_0")),
        (Want(), Want(flash_attention=True)),
        (Want(), Want(draft_tokens=2)),
        (Want(), Want(context_shift=True)),
        (Want(), Want(slots=2)),
    ],
)
def test_what_reloads_once(first: Want, second: Want) -> None:
    desk = Desk(memory=1000, gpus=(1000, 1000))
    desk.load(1, model("m", 10), want=first)
    desk.done(1)
    assert desk.ask(2, model("m", 10), want=second) == ["unload m"]
    assert desk.gone("m") == ["load m"]
    assert desk.ready("m") == ["grant 2"]
    desk.done(2)
    assert desk.ask(3, model("m", 10), want=second) == ["grant 3"]


def test_options_that_contradict_each_other_take_turns() -> None:
    policy = replace(CALM, patience=3.0, residency_least=10.0, residency_most=10.0)
    desk = Desk(memory=1000, gpus=(1000,), policy=policy)
    m = model("m", 10)
    desk.load(1, m, want=Want(num_gpu=0))
    assert desk.ask(2, m, want=Want(num_gpu=2)) == []
    assert desk.ask(3, m, want=Want(num_gpu=0)) == []
    assert desk.done(1) == ["grant 3"]  # the one who needs another load does not stop those who don't ...
    desk.wait(10.0)
    assert desk.done(3) == ["unload m"]  # ... but its turn comes
    assert desk.gone("m") == ["load m"]
    assert desk.ready("m") == ["grant 2"]


def test_default_policy_is_what_the_readme_says() -> None:
    policy = Policy()
    assert (policy.max_queue, policy.keep_alive, policy.auto_parallel) == (512, 300.0, 4)
