"""What would happen, told by what does happen; and histories that replay."""

from __future__ import annotations

from dataclasses import replace

from tests.scheduler.desk import CALM, Desk, model
from tropa.scheduler.actions import Fit
from tropa.scheduler.plan import Outcome
from tropa.scheduler.recording import decode, dump, encode, load
from tropa.scheduler.view import RunnerState


def test_plan_changes_nothing_and_says_what_comes() -> None:
    desk = Desk(memory=10)
    plan = desk.scheduler.plan(0.0, model("a", 8), "a")
    assert (plan.outcome, plan.placement.fit if plan.placement else None) == (Outcome.LOADED, Fit.CPU)
    assert not desk.scheduler.state.models
    desk.load(1, "a", need=8)
    assert desk.scheduler.plan(0.0, model("a", 8), "a").outcome is Outcome.QUEUED
    desk.done(1)
    assert desk.scheduler.plan(0.0, model("a", 8), "a").outcome is Outcome.SERVED
    plan = desk.scheduler.plan(0.0, model("b", 8), "b")
    assert plan.outcome is Outcome.AFTER_OTHERS
    assert [(v.name, v.condition) for v in plan.leaving] == [("a", "idle")]
    assert plan.placement is not None
    plan = desk.scheduler.plan(0.0, model("c", 11), "c")
    assert plan.outcome is Outcome.REFUSED
    assert plan.why == "model requires more system memory (11 B) than is available (10 B)"
    assert desk.ask(2, "b", need=8) == ["unload a"]  # as it said


def test_plan_says_when_a_busy_one_will_stop_taking_requests() -> None:
    desk = Desk(memory=10, policy=replace(CALM, patience=3.0, residency_least=10.0, residency_most=10.0))
    desk.load(1, "a", need=8)
    plan = desk.scheduler.plan(5.0, model("b", 8), "b")
    assert [(v.name, v.condition) for v in plan.leaving] == [("a", "busy")]
    assert plan.earliest == 10.0


def test_plan_beyond_the_window() -> None:
    desk = Desk(memory=10, policy=replace(CALM, window=1, patience=5.0))
    desk.load(1, "a", need=8)
    desk.ask(2, "b", need=8)
    desk.ask(3, "c", need=8)
    plan = desk.scheduler.plan(0.0, model("d", 8), "d")
    assert (plan.outcome, plan.ahead) == (Outcome.AFTER_OTHERS, 2)


def test_the_view_shows_everything() -> None:
    desk = Desk(memory=10, policy=replace(CALM, num_parallel=2))
    desk.load(1, "a", need=6)
    desk.ask(2, "b", need=6)
    desk.ask(3, "a", need=6)
    view = desk.scheduler.view(1.0)
    [a] = view.runners
    assert (a.name, a.state, a.busy, a.slots, a.bytes, a.waiting) == (
        "a",
        RunnerState.DRAINING,
        1,
        2,
        {"cpu": 6},
        1,
    )
    assert view.waiting == {"b": 1, "a": 1}
    assert view.line == ("b", "a")
    assert view.devices[0].available == 10


def test_a_recording_replays() -> None:
    desk = Desk(memory=10, gpus=(5,))
    desk.load(1, model("a", 8, layers=4))
    desk.ask(2, "b", need=9, keep_alive=-1.0)
    desk.done(1)
    desk.gone("a")
    desk.failed("b", oom=True)
    desk.shutdown()
    assert desk.replays()
    text = dump(desk.scheduler.policy, desk.scheduler.history)
    policy, history = load(text)
    assert policy == desk.scheduler.policy
    assert history == list(desk.scheduler.history)


def test_the_codec_is_its_own_inverse() -> None:
    demand = model("m", 8, layers=2, trained=5)
    assert decode(encode(demand)) == demand
