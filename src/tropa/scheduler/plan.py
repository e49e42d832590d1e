"""What would happen if I asked for X now, and why: the very same `handle`, on a copy."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice

from tropa.scheduler.actions import Explain, Grant, Load, Placement, Refuse, Unload
from tropa.scheduler.decide import settle
from tropa.scheduler.demand import NO_WISH, Demand, Want
from tropa.scheduler.events import Asked
from tropa.scheduler.facts import record
from tropa.scheduler.state import State
from tropa.scheduler.turns import condition


class Outcome(StrEnum):
    """How the request would fare."""

    SERVED = "served"
    """A slot is free now."""
    QUEUED = "queued"
    """A runner serves the model, or will soon; all its slots are taken."""
    LOADED = "loaded"
    """It would be loaded at once."""
    AFTER_OTHERS = "after-others"
    """Others leave first, or a model ahead gets its turn."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Leaving:
    """A runner that would have to leave."""

    runner: int
    name: str
    condition: str
    """idle, busy (it would finish what it serves), loading, draining, leaving."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer; `why` is for people."""

    outcome: Outcome
    why: str
    placement: Placement | None = None
    """Where it runs or would run, if that can be said."""
    runner: int | None = None
    leaving: tuple[Leaving, ...] = ()
    earliest: float | None = None
    """When busy runners would stop taking requests for it (scheduler time); None if nothing must be waited
    for or nobody can say."""
    ahead: int = 0
    """Models that would get their turn before."""


def _copy(state: State, key: str) -> State:
    """A copy that may be decided upon. What no decision about this one request can change is shared: with
    thousands waiting for other models, copying those would hold the server up."""
    changing = {key, *(runner.key for runner in state.runners.values())}
    changing.update(islice(state.line, 4 * state.policy.window))
    shared: dict[int, object] = {}
    for model in state.models.values():
        kept: Iterable[object] = (model.costs, *model.now.shapes, *model.later.shapes)
        if model.key not in changing:
            kept = (model, *model.now, *model.later)
        shared.update((id(one), one) for one in kept)
    return copy.deepcopy(state, shared)


def plan(state: State, at: float, demand: Demand, name: str, want: Want = NO_WISH, client: str = "") -> Plan:
    """What `Asked` would lead to. The state is not changed; the last measurement is taken as it is."""
    trial = _copy(state, demand.key)
    trial.policy = trial.ledger.policy = replace(state.policy, fresh=math.inf)
    number = max(state.requests, default=0) + 1
    before = {r.id: condition(state, r) for r in state.runners.values()}
    trial.line_dirty = True  # look, wherever it stands in the line
    record(trial, Asked(at, number, client, name, demand, want))
    actions, intents = settle(trial)
    leaving = {a.runner: a for a in actions if isinstance(a, Unload)}
    said = [a.why for a in actions if isinstance(a, Explain) and a.key == demand.key]
    for action in actions:
        match action:
            case Refuse() if action.request == number:
                return Plan(Outcome.REFUSED, action.message)
            case Grant(runner=runner) if action.request == number:
                placement = trial.runners[runner].placement
                return Plan(Outcome.SERVED, "a slot is free", placement, runner)
            case Load() if action.key == demand.key:
                return Plan(Outcome.LOADED, action.why, action.placement, action.runner)
            case _:
                pass
    model = trial.models[demand.key]
    request = trial.requests[number]
    if model.runner is not None and request.shape in model.now.shapes:
        where = f"runner {model.runner.id}, {condition(trial, model.runner)}"
        why = f"{len(model.now) - 1} wait before it for {where}"
        return Plan(Outcome.QUEUED, why, model.runner.placement, model.runner.id)
    ahead = list(trial.line).index(demand.key)
    intent = (intents or {}).get(demand.key)
    if intent is None:
        why = said[-1] if said else f"{ahead} models get their turn before"
        return Plan(Outcome.AFTER_OTHERS, why, ahead=ahead)
    victims = tuple(
        Leaving(v, state.runners[v].name, before[v]) for v in dict.fromkeys((*intent.victims, *leaving))
    )
    earliest = intent.drains_at if at < intent.drains_at < math.inf else None
    return Plan(
        Outcome.AFTER_OTHERS, intent.why, intent.placement, leaving=victims, earliest=earliest, ahead=ahead
    )
