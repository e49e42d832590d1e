"""What just became true. Nothing is decided here: each event changes the state it is about and marks what to
look at."""

from __future__ import annotations

import heapq
import math
from typing import assert_never

from tropa.scheduler import events
from tropa.scheduler.placement import growth
from tropa.scheduler.runner import Phase, Runner
from tropa.scheduler.state import State, Trouble


def record(state: State, event: events.Event) -> None:
    """Take in one event."""
    state.now = max(state.now, event.at)
    if state.now >= state.alarm:
        state.alarm = math.inf
    match event:
        case events.Asked():
            state.arrived = event
        case events.Cancelled():
            request = state.requests.get(event.request)
            if request is not None and request.runner is None:
                state.end_waiting(request)
        case events.Released():
            _released(state, event)
        case events.Loaded():
            _loaded(state, event)
        case events.LoadFailed():
            runner = state.runners.get(event.runner)
            if runner is not None:
                _ended(state, runner, event.reason, out_of_memory=event.out_of_memory)
        case events.Died():
            runner = state.runners.get(event.runner)
            if runner is not None:
                _ended(state, runner, event.reason)
        case events.Gone():
            runner = state.runners.get(event.runner)
            if runner is not None:
                _ended(state, runner, "the process ended")  # nothing, when it was leaving already
                state.ledger.release(runner.id)
                del state.runners[runner.id]
                state.memory_moved = state.room_came = True
        case events.DevicesSeen():
            version = state.ledger.version
            state.ledger.see(event)
            if state.measure_asked or state.ledger.version != version:
                state.line_dirty = True
            state.measured_at = state.now
            state.memory_moved = state.measure_asked = False
        case events.Unwanted():
            model = state.models.get(event.key)
            if model is not None and model.runner is not None:
                model.runner.keep(0.0)
                _restart_timer(state, model.runner)
                state.touched[model.key] = model
        case events.KeepAlive():
            model = state.models.get(event.key)
            if model is not None and model.runner is not None:
                model.runner.keep(event.seconds)
                _restart_timer(state, model.runner)
                state.touched[model.key] = model
        case events.Tick():
            state.alarm = math.inf  # it rang, perhaps a little early: a new one is due
        case events.Shutdown():
            state.stopping = True
        case _:
            assert_never(event)


def _released(state: State, event: events.Released) -> None:
    request = state.requests.get(event.request)
    if request is None or request.runner is None:
        return
    del state.requests[request.id]
    runner = state.runners.get(request.runner)
    if runner is None or runner.phase is Phase.LEAVING:
        return  # told of after its runner died
    runner.busy.discard(request.id)
    runner.served += 1
    model = state.models[runner.key]
    model.deaths = 0
    if not runner.busy:
        runner.idle_since = state.now
        _restart_timer(state, runner)
        if state.line and (not model.now or runner.draining_for is not None):
            state.line_dirty = True
    state.touched[model.key] = model


def _loaded(state: State, event: events.Loaded) -> None:
    runner = state.runners.get(event.runner)
    if runner is None or runner.phase is not Phase.LOADING:
        return  # it crossed our Unload
    model = state.models[runner.key]
    runner.phase = Phase.READY
    runner.ready_at = runner.idle_since = state.now
    runner.context, runner.slots = event.context, max(1, event.slots)
    _restart_timer(state, runner)
    more = growth(model.costs, runner.placement.promised)
    promised = state.ledger.held(runner.id)
    state.ledger.settle(runner.id, event.used, event.mapped, more, state.now)
    model.hot_context = 0
    model.jumped = False
    state.memory_moved = True
    awaited = runner.id in state.awaited or model.key in state.line
    if state.line and (awaited or state.ledger.held(runner.id) != promised):
        state.line_dirty = True
    state.touched[model.key] = model


def _ended(state: State, runner: Runner, reason: str, *, out_of_memory: bool = False) -> None:
    if runner.phase is Phase.LEAVING:
        return  # it crossed our Unload, or was told before
    loading = runner.phase is Phase.LOADING
    model = state.models[runner.key]
    state.lose(runner, reason)
    state.troubles.append(Trouble(model, runner, reason, out_of_memory, loading))
    state.memory_moved = state.line_dirty = True


def _restart_timer(state: State, runner: Runner) -> None:
    if runner.phase is not Phase.READY or runner.busy:
        return
    runner.expires_at = state.now + runner.duration
    if runner.expires_at < runner.timer:
        runner.timer = runner.expires_at
        heapq.heappush(state.timers, (runner.timer, runner.id))
