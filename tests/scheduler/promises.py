"""What the simulation asserts about time and plans, from outside: only from events, actions and its own clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from tropa.scheduler.actions import Action, Grant, Load, Refuse, Unload
from tropa.scheduler.plan import Outcome, Plan
from tropa.scheduler.policy import Policy
from tropa.scheduler.state import State

LOAD_SECONDS = (0.5, 1.0, 3.0)
GONE_SECONDS = (0.0, 0.3, 1.0)
MEASURE_SECONDS = 0.1
LONGEST_JOB = 2.5
CLIENTS = 3


def residency(policy: Policy, load_seconds: float) -> float:
    """How long a model serves at least while it has work."""
    earned = policy.residency_factor * load_seconds
    return max(policy.residency_least, min(earned, policy.residency_most))


def longest_turn(policy: Policy) -> float:
    """The longest that the model at the head of the line can be kept waiting: its own last load ends, another's that
    began meanwhile ends, that serves for its residency or the head's patience ends, the running work drains, processes
    go, memory is measured."""
    return (
        2 * max(LOAD_SECONDS)
        + max(policy.patience, residency(policy, max(LOAD_SECONDS)))
        + policy.linger
        + LONGEST_JOB
        + max(GONE_SECONDS)
        + 2 * MEASURE_SECONDS
    )


class Waiting(Protocol):
    """A request as far as its waiting goes."""

    at: float
    ahead: int
    own: int
    disturbed: int


@dataclass(slots=True)
class Patience:
    """Nobody waits longer than follows from load time, running work and the number of models."""

    policy: Policy
    models: int
    turn: float = field(init=False)
    line: dict[str, tuple[float, int, int]] = field(default_factory=dict)
    """Per key in the line: since when, how many were ahead, and the disturbances until then."""
    longest_wait: float = 0.0
    longest_turn: float = 0.0
    """As shares of what is allowed."""

    def __post_init__(self) -> None:
        self.turn = longest_turn(self.policy)

    def check_request(self, waiting: Waiting, now: float, disturbances: int) -> None:
        """Each disturbance (a fault, a pin, a cancelled request) may cost one more turn, and each client may pass once
        per request that the waiting one's client has before it."""
        turns = self.models + 1 + disturbances - waiting.disturbed
        rounds = 1 + waiting.ahead + CLIENTS * waiting.own
        bound = rounds * (turns * self.turn + max(LOAD_SECONDS) + LONGEST_JOB)
        wait = now - waiting.at
        self.longest_wait = max(self.longest_wait, wait / bound)
        assert wait <= bound, f"waited {wait:.1f} s, more than {bound:.1f} s"

    def check_line(self, state: State, now: float, disturbances: int) -> None:
        """A model's turn comes after those ahead of it."""
        for key in [key for key in self.line if key not in state.line]:
            del self.line[key]
        for place, (key, model) in enumerate(state.line.items()):
            since, ahead, disturbed = self.line.get(key, (-1.0, 0, 0))
            if since != model.line_since:
                self.line[key] = since, ahead, disturbed = (model.line_since, place, disturbances)
            turns = ahead + 1 + disturbances - disturbed
            share = (now - since) / (turns * self.turn)
            self.longest_turn = max(self.longest_turn, share)
            assert share <= 1.0, f"{key} stood in line for more than {turns} turns"


def check_plan(plan: Plan, request: int, key: str, actions: Sequence[Action]) -> None:
    """What was foretold happened."""
    refused = any(isinstance(a, Refuse) and a.request == request for a in actions)
    granted = any(isinstance(a, Grant) and a.request == request for a in actions)
    loads = [a for a in actions if isinstance(a, Load) and a.key == key]
    assert (plan.outcome is Outcome.REFUSED) == refused
    assert (plan.outcome is Outcome.SERVED) == granted
    assert (plan.outcome is Outcome.LOADED) == bool(loads)
    if loads:
        assert plan.placement == loads[0].placement
    if plan.outcome is Outcome.AFTER_OTHERS:
        unloaded = {a.runner for a in actions if isinstance(a, Unload)}
        assert unloaded <= {leaving.runner for leaving in plan.leaving}


def fingerprint(state: State) -> str:
    """All of the state but what is only remembered to save work."""
    models = {key: replace(model, costs=None, hopes={}) for key, model in state.models.items()}  # type: ignore[arg-type]
    line = dict.fromkeys(state.line)
    return repr(replace(state, models=models, line=line, touched={}))  # type: ignore[arg-type]
