"""What must be true after every event. Checked in every test; in production only when asked for."""

from __future__ import annotations

from collections.abc import Sequence

from tropa.scheduler.actions import Action, Grant, Load, Unload
from tropa.scheduler.runner import Phase
from tropa.scheduler.state import State


def check(state: State, actions: Sequence[Action]) -> None:
    """Raise AssertionError on the first that does not hold."""
    _requests(state)
    _runners(state)
    _line(state)
    _memory(state, actions)


def _requests(state: State) -> None:
    queued = 0
    for model in state.models.values():
        assert len(model.now) == sum(model.now.shapes.values())
        assert len(model.later) == sum(model.later.shapes.values())
        for request in [*model.now, *model.later]:
            queued += 1
            assert state.requests[request.id] is request, "a waiting request is known"
            assert request.runner is None
        if model.now:
            runner = model.runner
            assert runner is not None, "who waits for a runner has one"
            assert runner.draining_for is None
            if runner.phase is Phase.READY:
                assert len(runner.busy) == runner.slots, "nobody waits beside a free slot"
    assert queued == state.waiting, "no request is forgotten"
    assert queued == sum(1 for known in state.requests.values() if known.runner is None)
    assert state.waiting <= state.policy.max_queue


def _runners(state: State) -> None:
    for runner in state.runners.values():
        model = state.models.get(runner.key)
        if runner.phase is Phase.LEAVING:
            assert model is None or model.runner is not runner
            continue
        assert model is not None
        assert model.runner is runner, "one runner per model"
        assert len(runner.busy) <= max(runner.slots, 0)
        if runner.phase is Phase.LOADING:
            assert not runner.busy
            assert model.now, "a load has somebody waiting for it"
        assert (runner.draining_for is not None) == (runner.id in state.draining)
        if runner.draining_for is not None:
            assert runner.busy, "a drained runner is unloaded at once"
    for request in state.requests.values():
        serving = None if request.runner is None else state.runners.get(request.runner)
        if serving is not None and serving.phase is not Phase.LEAVING:
            assert request.id in serving.busy


def _line(state: State) -> None:
    for key, model in state.line.items():
        assert model.later, "only who needs a load stands in line"
        assert state.models.get(key) is model
    if not state.stopping:
        for model in state.models.values():
            assert not model.later or model.key in state.line, "who needs a load stands in line"


def _memory(state: State, actions: Sequence[Action]) -> None:
    loads = [a for a in actions if isinstance(a, Load)]
    if loads:
        assert len(state.runners) <= state.max_loaded
        room = state.ledger.free()
        for load in loads:
            for device, size in state.ledger.charge(load.placement.promised).items():
                assert size == 0 or room.get(device, 0) >= 0, "no more is promised than there is"
    for action in actions:
        if isinstance(action, Unload) and not state.stopping:
            assert not state.runners[action.runner].busy, "a busy runner is never unloaded"
        if isinstance(action, Grant):
            assert state.runners[action.runner].phase is Phase.READY
