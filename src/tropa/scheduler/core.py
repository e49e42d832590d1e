"""The scheduler: events in, actions out. No clock, no I/O, no asyncio; a test checks its imports.

First what just became true is recorded (facts.py), then what follows is decided in one place in a fixed order
(decide.py), then the invariants are checked if asked for (invariants.py). The same events give the same
actions, so the kept history is a replay.
"""

from __future__ import annotations

from collections import deque

from tropa.scheduler.actions import Action
from tropa.scheduler.decide import settle
from tropa.scheduler.demand import NO_WISH, Demand, Want
from tropa.scheduler.events import Event
from tropa.scheduler.facts import record
from tropa.scheduler.invariants import check
from tropa.scheduler.ledger import Ledger
from tropa.scheduler.plan import Plan, plan
from tropa.scheduler.policy import Policy
from tropa.scheduler.state import State
from tropa.scheduler.turns import Intent
from tropa.scheduler.view import View, view


class Scheduler:
    """Who runs, who waits, who leaves. One owner calls `handle`; everything else only reads."""

    def __init__(self, policy: Policy | None = None, *, checked: bool = False) -> None:
        self.policy = policy or Policy()
        self.checked = checked
        self.state = State(self.policy, Ledger(self.policy))
        self.intents: dict[str, Intent] = {}
        """What the models waiting for room wait for, as of the last look at the line."""
        self.history: deque[tuple[Event, tuple[Action, ...]]] = deque(maxlen=self.policy.history)
        self.handled = 0

    def handle(self, event: Event) -> list[Action]:
        """One fact in, all that follows out, to be performed in this order."""
        record(self.state, event)
        actions, intents = settle(self.state)
        if intents is not None:
            self.intents = intents
        self.handled += 1
        self.history.append((event, tuple(actions)))
        if self.checked:
            check(self.state, actions)
        return actions

    def view(self, now: float) -> View:
        """What there is, for `ps` and metrics."""
        return view(self.state, now)

    def plan(self, now: float, demand: Demand, name: str, want: Want = NO_WISH, client: str = "") -> Plan:
        """What would happen if this were asked now."""
        return plan(self.state, now, demand, name, want, client)
