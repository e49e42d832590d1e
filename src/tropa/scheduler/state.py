"""All that the scheduler knows, and the few changes that keep it consistent."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

from tropa.scheduler.events import Asked
from tropa.scheduler.ledger import Ledger
from tropa.scheduler.model import Model
from tropa.scheduler.policy import Policy
from tropa.scheduler.request import Request
from tropa.scheduler.runner import Phase, Runner


@dataclass(frozen=True, slots=True)
class Trouble:
    """A load that failed or a runner that died, until it is decided what that means for those waiting."""

    model: Model
    runner: Runner
    reason: str
    out_of_memory: bool
    while_loading: bool


@dataclass(slots=True)
class State:
    """Owned by one Scheduler."""

    policy: Policy
    ledger: Ledger
    now: float = -math.inf
    models: dict[str, Model] = field(default_factory=dict)
    runners: dict[int, Runner] = field(default_factory=dict)
    """Until they are gone."""
    requests: dict[int, Request] = field(default_factory=dict)
    """Waiting and granted."""
    waiting: int = 0
    line: OrderedDict[str, Model] = field(default_factory=OrderedDict)
    """Models with requests that need a load, in the order in which they came to need it."""
    draining: dict[int, Runner] = field(default_factory=dict)
    next_runner: int = 1
    stopping: bool = False

    # What the event just recorded asks to be decided.
    arrived: Asked | None = None
    troubles: list[Trouble] = field(default_factory=list)
    touched: dict[str, Model] = field(default_factory=dict)
    """Models whose slots or waiting requests changed."""
    line_dirty: bool = False
    """Something changed that may let a model in the line go on."""
    room_came: bool = False
    """A process is gone: its memory can be had once measured."""

    # Time.
    awaited: set[int] = field(default_factory=set)
    """Loading runners that somebody in the line counts on."""
    line_due: float = math.inf
    """When the line must be looked at again though nothing happens."""
    timers: list[tuple[float, int]] = field(default_factory=list)
    """A heap of (time, runner): look then whether it has expired."""
    alarm: float = math.inf
    """The last WakeAt, if it is still to come."""

    # Measurements.
    measured_at: float = -math.inf
    memory_moved: bool = False
    """A process came or went since the last measurement."""
    measure_asked: bool = False

    @property
    def max_loaded(self) -> int:
        """How many runners there may be."""
        if self.policy.max_loaded:
            return self.policy.max_loaded
        return 3 * max(1, len(self.ledger.gpus))

    @property
    def stale(self) -> bool:
        """Whether memory must be measured before a load or a refusal rests on it."""
        if not self.ledger.seen:
            return True
        if not self.policy.watches_memory:
            return False
        return self.memory_moved or self.now - self.measured_at > self.policy.fresh

    def named(self, key: str) -> str:
        """A key as people know it: the name under which it was asked for last."""
        model = self.models.get(key)
        return (model.name if model else "") or key

    def has_work(self, runner: Runner) -> bool:
        """Serving somebody, or about to."""
        model = self.models.get(runner.key)
        waiting = model is not None and model.runner is runner and len(model.now) > 0
        return bool(runner.busy) or waiting

    def join_line(self, model: Model, *, front: bool = False) -> None:
        """The model has requests that need a load."""
        if model.key in self.line:
            if front:
                self.line.move_to_end(model.key, last=False)
            return
        model.line_since = self.now
        self.line[model.key] = model
        if front:
            self.line.move_to_end(model.key, last=False)
        if front or len(self.line) <= self.policy.window:
            self.line_dirty = True

    def settle_line(self, model: Model) -> None:
        """Be in the line if and only if somebody waits for a load."""
        if model.later:
            self.join_line(model)
        elif self.line.pop(model.key, None) is not None:
            model.told, model.reserved = (), None
            self.line_dirty = True  # what it had reserved is free for others

    def end_turn(self, model: Model) -> None:
        """Its runner goes for somebody else's sake: if it stood in line already, it does so at the end now."""
        if model.key in self.line:
            model.line_since = self.now
            self.line.move_to_end(model.key)

    def end_waiting(self, request: Request) -> None:
        """The request ended without a slot."""
        model = self.models[request.key]
        model.leave(request)
        del self.requests[request.id]
        self.waiting -= 1
        self.settle_line(model)
        self.touched[model.key] = model

    def lose(self, runner: Runner, why: str) -> None:
        """The runner serves nobody any more; its memory counts until it is gone."""
        runner.phase = Phase.LEAVING
        runner.why_leaving = why
        runner.draining_for = None
        self.draining.pop(runner.id, None)
        self.ledger.leaving(runner.id)
        model = self.models[runner.key]
        assert model.runner is runner
        model.runner = None
        model.hot_context = runner.setup.context if model.waiting else 0
        model.postpone_all()
        self.settle_line(model)
        self.touched[model.key] = model

    def forget_if_unused(self, model: Model) -> None:
        """Keep no model that nobody asks for and nothing runs."""
        if model.runner is None and not model.waiting and not model.deaths:
            self.models.pop(model.key, None)
