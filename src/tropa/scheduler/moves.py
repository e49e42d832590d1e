"""The steps a decision is made of; each changes the state and says so in an action."""

from __future__ import annotations

from tropa.scheduler.actions import Action, Ending, Explain, Grant, Snapshot, Unload
from tropa.scheduler.model import Model
from tropa.scheduler.runner import Phase, Runner
from tropa.scheduler.state import State


def unload(state: State, runner: Runner, ending: Ending, why: str, out: list[Action]) -> None:
    """End an idle or loading runner. (On shutdown also a busy one: then nobody is left to drain for.)"""
    if state.policy.snapshot and runner.phase is Phase.READY and runner.served and not state.stopping:
        out.append(Snapshot(runner.id))
    state.lose(runner, why)
    out.append(Unload(runner.id, ending, why))


def drain(state: State, runner: Runner, for_key: str, out: list[Action]) -> None:
    """No new requests: it finishes what it serves and leaves. Those waiting for it wait for its next load."""
    if runner.draining_for == for_key:
        return
    first = runner.draining_for is None
    runner.draining_for = for_key
    state.draining[runner.id] = runner
    if first:
        model = state.models[runner.key]
        if for_key != runner.key:
            state.end_turn(model)
        model.postpone_all()
        state.settle_line(model)
        why = f"takes no more requests, to make room for {state.named(for_key)}"
        if for_key == runner.key:
            why = "takes no more requests, to be loaded again differently"
        out.append(Explain(runner.key, why, runner.id))


def undrain(state: State, runner: Runner, out: list[Action]) -> None:
    """Nobody needs its room any more: it goes on serving."""
    runner.draining_for = None
    del state.draining[runner.id]
    model = state.models[runner.key]
    model.admit_all()
    state.settle_line(model)
    state.touched[model.key] = model
    out.append(Explain(runner.key, "serves on: its room is no longer needed", runner.id))


def grant_all(state: State, model: Model, out: list[Action]) -> None:
    """Give the model's free slots to those waiting, each client in turn."""
    runner = model.runner
    if runner is None or not runner.open:
        return
    while model.now and len(runner.busy) < runner.slots:
        request = model.now.pop()
        model.rounds.serve(request)
        state.waiting -= 1
        request.runner = runner.id
        runner.busy.add(request.id)
        if request.want.keep_alive is not None:
            runner.keep(request.want.keep_alive)
        context = min(request.shape.context or runner.context, runner.context)
        out.append(Grant(request.id, runner.id, context))
