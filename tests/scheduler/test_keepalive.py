"""How long a model stays."""

from __future__ import annotations

import math
from dataclasses import replace

from tests.scheduler.desk import CALM, Desk


def expires(desk: Desk, key: str) -> float:
    [runner] = [r for r in desk.scheduler.view(desk.at).runners if r.key == key]
    return runner.expires_at


def test_it_leaves_when_not_needed_for_as_long_as_it_is_kept() -> None:
    desk = Desk()
    desk.load(1, "m")
    desk.at = 100.0
    desk.done(1)
    assert expires(desk, "m") == 400.0
    desk.at = 200.0
    desk.ask(2, "m")
    desk.at = 350.0
    desk.done(2)
    assert desk.wait(299.0) == []
    assert desk.wait(1.0) == ["unload m"]


def test_the_alarm_is_set_for_it() -> None:
    desk = Desk()
    desk.load(1, "m")
    desk.done(1)
    assert desk.scheduler.state.alarm == 300.0
    desk.at = 299.0
    desk.ask(2, "m")
    desk.done(2)
    desk.wait(1.0)
    assert "wake 599" in desk.said


def test_expiry_is_honest_while_busy() -> None:
    desk = Desk()
    desk.load(1, "m")
    desk.at = 1000.0
    assert expires(desk, "m") == 1300.0
    assert desk.wait(0.0) == []


def test_a_requests_wish_sticks_and_silence_leaves_it() -> None:
    desk = Desk()
    desk.load(1, "m", keep_alive=10.0)
    desk.done(1)
    desk.ask(2, "m")
    desk.done(2)
    assert expires(desk, "m") == desk.at + 10.0


def test_zero_leaves_as_soon_as_idle() -> None:
    desk = Desk()
    desk.load(1, "m", keep_alive=0.0)
    desk.ask(2, "m")
    assert desk.done(1) == ["grant 2"]
    assert desk.done(2) == ["unload m"]


def test_negative_is_for_ever() -> None:
    desk = Desk()
    desk.load(1, "m", keep_alive=-1.0)
    desk.done(1)
    assert expires(desk, "m") == math.inf
    assert desk.wait(1e9) == []


def test_unload_by_wish() -> None:
    desk = Desk()
    desk.load(1, "m")
    desk.ask(2, "m")
    assert desk.unwanted("m") == []
    assert desk.done(1) == ["grant 2"]  # who waited is still served
    assert desk.done(2) == ["unload m"]
    assert desk.unwanted("m") == []
    desk.gone("m")
    assert desk.unwanted("m") == []
    desk.load(3, "m")
    desk.done(3)
    assert desk.unwanted("m") == ["unload m"]


def test_keep_alive_can_be_changed_alone() -> None:
    desk = Desk()
    desk.load(1, "m")
    desk.done(1)
    desk.keep("m", 5.0)
    assert "wake 5" in desk.said
    assert desk.wait(5.0) == ["unload m"]


def test_a_snapshot_before_leaving_if_wished() -> None:
    desk = Desk(policy=replace(CALM, snapshot=True))
    desk.load(1, "m")
    desk.done(1)
    assert desk.unwanted("m") == ["snapshot m", "unload m"]
