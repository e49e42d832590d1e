"""What may now happen: the only place where anything is decided, in a fixed order.

1. who has just arrived: refused at once, or waiting
2. what has just gone wrong: tried again, or those waiting get the reason
3. loads that nobody waits for any more: given up
4. free slots: granted, so that a runner just loaded serves somebody before it can be asked to leave
5. whose turn it is to load, and who leaves for it (turns.py); slots freed by that: granted
6. runners idle for longer than their keep-alive: unloaded
7. when to look again
"""

from __future__ import annotations

import heapq
import math

from tropa.scheduler import texts
from tropa.scheduler.actions import Action, Ending, Measure, Refusal, Refuse, WakeAt
from tropa.scheduler.asks import alone
from tropa.scheduler.events import Asked
from tropa.scheduler.machine import CPU
from tropa.scheduler.model import Model
from tropa.scheduler.moves import grant_all, unload
from tropa.scheduler.placement import Costs, place
from tropa.scheduler.reload import serves, shape_of
from tropa.scheduler.request import Request
from tropa.scheduler.runner import Phase, Runner
from tropa.scheduler.state import State, Trouble
from tropa.scheduler.turns import Intent, Pass, too_big


def settle(state: State) -> tuple[list[Action], dict[str, Intent] | None]:
    """Everything that follows from what is now known; with the line's intents if it was looked at."""
    out: list[Action] = []
    intents = None
    if state.arrived is not None:
        asked, state.arrived = state.arrived, None
        _admit(state, asked, out)
    for trouble in state.troubles:
        _judge(state, trouble, out)
    state.troubles.clear()
    if state.stopping:
        _stop(state, out)
        state.touched.clear()
        return out, intents
    for model in list(state.touched.values()):
        runner = model.runner
        if runner is not None and runner.phase is Phase.LOADING and not model.now:
            unload(state, runner, Ending.UNWANTED, "nobody waits for it any more", out)
    for model in state.touched.values():
        grant_all(state, model, out)
    if state.room_came:
        state.room_came = False
        if state.line and state.policy.watches_memory and not state.measure_asked:
            state.measure_asked = True  # first see what there is, then decide once
            out.append(Measure("a process has gone"))
        state.line_dirty = state.line_dirty or not state.policy.watches_memory
    if state.line_dirty or state.now >= state.line_due:
        intents = _look_at_line(state, out)
    for model in list(state.touched.values()):
        _let_go_if_unkept(state, model, out)
    state.touched.clear()
    _expire(state, out)
    _wake(state, out)
    return out, intents


def _look_at_line(state: State, out: list[Action]) -> dict[str, Intent] | None:
    if not state.line and not state.draining:
        state.line_dirty = False
        state.line_due = math.inf
        return None
    state.line_dirty = False
    intents = Pass(state, out).run()
    for model in state.touched.values():
        grant_all(state, model, out)
    return intents


def _admit(state: State, asked: Asked, out: list[Action]) -> None:
    if state.stopping:
        out.append(Refuse(asked.request, Refusal.SHUTDOWN, texts.STOPPING))
        return
    wrong = _impossible(state, asked)
    if wrong is not None:
        out.append(Refuse(asked.request, Refusal.BAD_OPTION, wrong))
        return
    demand = asked.demand
    model = state.models.get(demand.key)
    if model is None:
        model = state.models[demand.key] = Model(demand.key, Costs(demand))
    model.renew(demand)
    shape = shape_of(demand, asked.want)
    request = Request(asked.request, asked.client, asked.name, demand.key, asked.at, asked.want, shape)
    model.join(request)
    state.requests[request.id] = request
    state.waiting += 1
    state.touched[model.key] = model
    runner = model.runner
    if model.now and runner is not None and runner.open and len(runner.busy) < runner.slots:
        return  # served in a moment; it never really waits
    refusal = None
    if state.waiting > state.policy.max_queue:
        numbers = {"waiting": state.waiting - 1, "max_queue": state.policy.max_queue}
        refusal = Refuse(request.id, Refusal.QUEUE_FULL, texts.QUEUE_FULL, numbers)
    elif model.later and state.ledger.seen:
        # Refused before anything is unloaded for it. Where it fails only for what others use, the line
        # decides, after a fresh measurement.
        hope = alone(model, shape, 0, False, state.ledger)
        if hope.place is None and (
            not state.stale or place(model.costs, hope.ask, state.ledger.limits, state.ledger) is None
        ):
            refusal = too_big(state, model, hope.ask, request.id, shape)
    if refusal is not None:
        state.end_waiting(request)
        out.append(refusal)
        state.forget_if_unused(model)
        return
    state.settle_line(model)


def _impossible(state: State, asked: Asked) -> str | None:
    """Options that no machine, or not this one, can satisfy."""
    want = asked.want
    least_one = (("num_ctx", want.context), ("num_parallel", want.slots), ("num_batch", want.num_batch))
    for name, value in least_one:
        if value is not None and value < 1:
            return f"{name} = {value} is not possible: it must be 1 or more"
    gpus = len(state.ledger.gpus)
    if want.main_gpu is not None and gpus and not 0 <= want.main_gpu < gpus:
        return f"main_gpu = {want.main_gpu} is not possible: this machine has GPUs 0 to {gpus - 1}"
    return None


def _judge(state: State, trouble: Trouble, out: list[Action]) -> None:
    """What a failed load or a death means for those who waited for that runner. The count is kept per request: each
    ends after its own last try, whoever else's tries come in between."""
    model, runner = trouble.model, trouble.runner
    concerned = [r for r in model.later if serves(runner.setup, r.shape)]
    code, message = Refusal.LOAD_FAILED, trouble.reason
    if not trouble.while_loading:
        model.deaths += 1
        if model.deaths < state.policy.crash_limit:
            return
        code = Refusal.CRASHED
        message = f"{runner.name} died {model.deaths} times in a row: {trouble.reason}"
        model.deaths = 0
        ended = concerned
    elif trouble.out_of_memory:
        model.hot_context = 0
        for request in concerned:
            request.ran_out += 1
        ended = [r for r in concerned if r.ran_out > 1]
        code = Refusal.OUT_OF_MEMORY
        message = f"out of memory while loading {runner.name}, also with room made for it: {trouble.reason}"
        if len(ended) < len(concerned):
            _clear_the_way(state, runner, out)
    else:
        for request in concerned:
            request.failed += 1
        ended = [r for r in concerned if r.failed >= state.policy.load_attempts]
    for request in ended:
        state.end_waiting(request)
        out.append(Refuse(request.id, code, message))
    # The retry takes up the turn that failed. But only once: else a model whose every load fails, and which is asked
    # for all the time, would stand first for ever.
    if trouble.while_loading and len(ended) < len(concerned) and not model.jumped:
        state.join_line(model, front=True)
        model.jumped = True
    else:
        model.jumped = False
    state.forget_if_unused(model)


def _clear_the_way(state: State, failed: Runner, out: list[Action]) -> None:
    """The prediction was too low where this load failed: all idle runners there leave before the retry."""
    where = set(failed.placement.gpus) or {CPU}
    for other in list(state.runners.values()):
        idle = other.phase is Phase.READY and not state.has_work(other)
        if idle and not other.pinned and where & set(other.placement.promised):
            why = f"to make room: {failed.name} ran out of memory while loading"
            unload(state, other, Ending.ROOM, why, out)


def _stop(state: State, out: list[Action]) -> None:
    for request in [r for r in state.requests.values() if r.runner is None]:
        state.end_waiting(request)
        out.append(Refuse(request.id, Refusal.SHUTDOWN, texts.STOPPING))
    for runner in list(state.runners.values()):
        if runner.phase is not Phase.LEAVING:
            unload(state, runner, Ending.SHUTDOWN, texts.STOPPING, out)
    state.line.clear()
    state.line_dirty = False


def _let_go_if_unkept(state: State, model: Model, out: list[Action]) -> None:
    """keep_alive 0: unloaded as soon as idle."""
    runner = model.runner
    if runner is not None and runner.idle and runner.duration <= 0 and not state.has_work(runner):
        unload(state, runner, Ending.EXPIRED, "not kept (keep_alive 0)", out)
    state.forget_if_unused(model)


def _expire(state: State, out: list[Action]) -> None:
    """Unload runners idle for longer than they are kept."""
    while state.timers:
        at, number = state.timers[0]
        runner = state.runners.get(number)
        if runner is None or runner.phase is not Phase.READY or at != runner.timer:
            heapq.heappop(state.timers)
            continue
        if at > state.now:
            return
        heapq.heappop(state.timers)
        if runner.busy:
            runner.timer = math.inf  # set again when it becomes idle
        elif runner.expires_at > state.now:
            runner.timer = runner.expires_at
            if runner.timer < math.inf:
                heapq.heappush(state.timers, (runner.timer, number))
        else:
            model = state.models[runner.key]
            unload(state, runner, Ending.EXPIRED, "not needed for as long as it is kept", out)
            state.forget_if_unused(model)


def _wake(state: State, out: list[Action]) -> None:
    due = state.line_due
    if state.timers:
        due = min(due, state.timers[0][0])
    if due < state.alarm:
        state.alarm = due
        out.append(WakeAt(due))
