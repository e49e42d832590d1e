"""Thousands of random histories, every promise checked after every event.

A failure prints its tape, shrunk; `python -m tests.scheduler.soak --tape HEX` tells the story event by event.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scheduler.simulation import simulate
from tropa.scheduler.recording import dump, replay

CALM = settings(deadline=None, suppress_health_check=list(HealthCheck))
TAPES = st.binary(min_size=20, max_size=50)


@settings(CALM, max_examples=20_000)
@given(TAPES)
def test_every_promise_holds_in_every_history(tape: bytes) -> None:
    simulate(tape)


@settings(CALM, max_examples=500)
@given(st.binary(min_size=60, max_size=160))
def test_and_in_longer_ones(tape: bytes) -> None:
    simulate(tape)


@settings(CALM, max_examples=300)
@given(TAPES)
def test_what_is_planned_is_what_happens(tape: bytes) -> None:
    simulate(tape, planning=True)


@settings(CALM, max_examples=300)
@given(TAPES)
def test_a_recorded_history_replays_to_the_same_actions(tape: bytes) -> None:
    scheduler = simulate(tape).scheduler
    for event, then, now in replay(dump(scheduler.policy, scheduler.history)):
        assert then == now, event
