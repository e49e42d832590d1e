"""What to try for a model: contexts, slots and the place it would get on a machine of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tropa.scheduler.actions import Fit, Placement
from tropa.scheduler.ledger import Ledger, Room, take
from tropa.scheduler.model import Model
from tropa.scheduler.placement import PARTIAL_SHARE, Ask, Hope, place
from tropa.scheduler.policy import Policy
from tropa.scheduler.reload import Shape, cap_context, step_up


def ask_for(model: Model, shape: Shape, floor: int, retry: bool, policy: Policy) -> Ask:
    """The choices for a load that serves this shape.

    `floor` is the context a slot has or had while the model is hot: a reload goes up in steps, never down.
    `retry`: the engine ran out of memory before, so what was our own choice is made small.
    """
    return Ask(
        contexts=_contexts(model, shape, floor, retry, policy),
        slots=_slots(model, shape, retry, policy),
        batch=shape.batch or policy.default_batch,
        gpu_layers=shape.gpu_layers,
        main_gpu=shape.main_gpu,
        projector_on_gpu=not retry,
        margin=policy.oom_margin if retry else 1.0,
    )


def _contexts(model: Model, shape: Shape, floor: int, retry: bool, policy: Policy) -> tuple[int, ...]:
    demand = model.demand
    floor = min(floor, demand.trained_context) if demand.trained_context else floor
    if shape.context is not None:
        if floor == 0:
            return (shape.context,)
        if shape.context > floor:
            return _distinct(cap_context(demand, step_up(shape.context)), shape.context)
        return _distinct(floor, shape.context)
    least = cap_context(demand, policy.small_context)
    context = cap_context(demand, policy.default_context)
    tries = [max(floor, context)]
    if retry:
        tries, context = [], min(context, least)
    while context > least:
        tries.append(context)
        context = max(least, context // 2)
    return _distinct(*tries, context)


def _slots(model: Model, shape: Shape, retry: bool, policy: Policy) -> tuple[int, ...]:
    most = model.demand.max_slots
    asked = shape.slots or (max(model.demand.parallel, policy.num_parallel or 0) or None)
    if asked:
        return (min(asked, most) if most else asked,)
    auto = min(policy.auto_parallel, most) if most else policy.auto_parallel
    return (1,) if retry else _distinct(auto, 1)


def _distinct(*values: int) -> tuple[int, ...]:
    return tuple(dict.fromkeys(values))


def alone(model: Model, shape: Shape, floor: int, retry: bool, ledger: Ledger) -> Hope:
    """Its place if nothing of ours were running."""
    known = (shape, floor, retry)
    hope = model.hopes.get(known)
    if hope is None or hope.version != ledger.version:
        if len(model.hopes) > 64:  # a client that counts its contexts up one by one
            model.hopes.clear()
        ask = ask_for(model, shape, floor, retry, ledger.policy)
        target = place(model.costs, ask, ledger.capacity, ledger)
        narrowed = ask if target is None else no_worse_than(ask, target)
        hope = model.hopes[known] = Hope(ledger.version, ask, target, narrowed)
    return hope


def beside(model: Model, ask: Ask, fixed: Mapping[str, int], ledger: Ledger) -> Placement | None:
    """Its place beside what will not leave."""
    room: Room = dict(ledger.capacity)
    take(room, fixed)
    return place(model.costs, ask, room, ledger)


def no_worse_than(ask: Ask, target: Placement) -> Ask:
    """The ask narrowed to what the target gives. The context depends on the machine, not on who happens to be
    loaded; the number of slots does depend on it."""
    layers = 0
    if target.fit is Fit.PARTIAL and ask.gpu_layers is None:
        layers = int(target.gpu_layers * PARTIAL_SHARE)
    return replace(ask, contexts=(target.context,), least=target.fit, least_layers=layers)
