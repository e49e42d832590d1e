"""Whose turn it is: one pass over the line of models that need a load.

The oldest comes first and takes what it needs: room that is free, room that is being freed, idle runners, and
when it has waited long enough, busy ones, which then drain. What it needs and can't have yet is *reserved*:
models behind it may start at once, but only with room the ones ahead don't count on. So a small model needn't
wait behind a big one, and a big one is never kept out by a stream of small ones.

The pass starts afresh each time. A runner that is draining for somebody who no longer needs it goes back
to work.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import islice

from tropa.scheduler import texts
from tropa.scheduler.actions import Action, Ending, Explain, Fit, Load, Measure, Placement, Refusal, Refuse
from tropa.scheduler.asks import alone, beside, no_worse_than
from tropa.scheduler.ledger import Room, add, holds, lesser, take
from tropa.scheduler.model import Model
from tropa.scheduler.moves import drain, undrain, unload
from tropa.scheduler.placement import Ask, Hope, place, shortfall
from tropa.scheduler.reload import Shape, merged, mismatch, serves, setup_of
from tropa.scheduler.runner import Phase, Runner
from tropa.scheduler.state import State
from tropa.scheduler.victims import candidates, least_victims, lingers_until


@dataclass(frozen=True, slots=True)
class Goal:
    """What the model's next load should look like, and whether pinned runners may have to leave for it."""

    shape: Shape
    ask: Ask
    retry: bool
    """The lead's load ran out of memory before."""
    may_unpin: bool


@dataclass(frozen=True, slots=True)
class Intent:
    """What a waiting model waits for; what `plan` shows."""

    placement: Placement
    victims: tuple[int, ...]
    why: str
    drains_at: float


@dataclass(frozen=True, slots=True)
class Farewell:
    """A runner chosen to leave, and whether its time has come."""

    runner: Runner
    for_key: str
    come: bool


@dataclass(slots=True)
class Pass:
    """One look at the line. Rooms: `free` is there now; `coming` also counts what is leaving or chosen to
    leave, less what is reserved for models further ahead."""

    state: State
    out: list[Action]
    free: Room = field(init=False)
    coming: Room = field(init=False)
    running: int = field(init=False)
    staying: int = field(init=False)
    leaving: list[int] = field(init=False)
    pinned: list[Runner] = field(init=False)
    ranked: list[Runner] | None = None
    """Who could leave, least missed first; made when first needed."""
    chosen: dict[int, Farewell] = field(default_factory=dict)
    blocked: int = 0
    due: float = math.inf
    intents: dict[str, Intent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        state = self.state
        runners = state.runners.values()
        self.leaving = [r.id for r in runners if r.phase is Phase.LEAVING]
        self.pinned = [r for r in runners if r.pinned and r.phase is not Phase.LEAVING]
        self.free = state.ledger.free()
        self.coming = state.ledger.free(without=self.leaving)
        self.running = len(runners)
        self.staying = self.running - len(self.leaving)

    def run(self) -> dict[str, Intent]:
        """Look at the line once, then let go whoever was chosen."""
        state = self.state
        # Whoever gets its load leaves the line, so a few more than the window are worth a look.
        for key in tuple(islice(state.line, 4 * state.policy.window)):
            if self.blocked >= state.policy.window:
                break
            if (model := state.line.get(key)) is not None:
                self.advance(model)
        for runner in list(state.draining.values()):
            if runner.id not in self.chosen:
                undrain(state, runner, self.out)
        for farewell in self.chosen.values():
            self.let_go(farewell)
        state.line_due = self.due
        state.awaited = {id_ for id_, f in self.chosen.items() if f.runner.phase is Phase.LOADING}
        return self.intents

    def advance(self, model: Model) -> None:
        """Do what can be done for the model."""
        own = model.runner
        if own is not None:
            if own.phase is Phase.LOADING:
                return  # it will serve those it was loaded for, then make way for its own successor
            drained = own.draining_for not in (None, model.key) and own.id not in self.chosen
            if drained and all(serves(own.setup, shape) for shape in model.later.shapes):
                return  # nobody ahead needs its room: unless somebody behind does, it serves on
        goal = self.goal(model)
        if goal is not None and not (own is None and self.start(model, goal)):
            self.make_room(model, goal, own)

    def goal(self, model: Model) -> Goal | None:
        """What to load for those waiting; refuses those for whom nothing can be. None: nothing to do now."""
        state = self.state
        floor = model.runner.setup.context if model.runner is not None else model.hot_context
        while model.later:
            first = model.later.first()
            lead, retry = first.shape, first.ran_out > 0
            shapes = [lead]
            if len(model.later.shapes) > 1 and (raised := merged(lead, model.later.shapes)) != lead:
                shapes.insert(0, raised)
            for shape in shapes:
                hope = alone(model, shape, floor, retry, state.ledger)
                if hope.place is not None:
                    return self.spare_pinned(model, shape, hope, retry)
            if state.stale:
                self.measure(f"{model.key} would not fit, as far as known")
                self.blocked += 1
                return None
            self.refuse_too_big(model, lead, hope.ask)
        return None

    def spare_pinned(self, model: Model, shape: Shape, hope: Hope, retry: bool) -> Goal:
        """A pinned runner yields only when nothing else can: a worse place beside it is preferred."""
        others = [r for r in self.pinned if r is not model.runner]
        if others:
            fixed: Room = {}
            for runner in others:
                add(fixed, self.state.ledger.held(runner.id))
            spared = beside(model, hope.ask, fixed, self.state.ledger)
            if spared is None or len(others) >= self.state.max_loaded:
                return Goal(shape, hope.narrowed, retry, may_unpin=True)
            return Goal(shape, no_worse_than(hope.ask, spared), retry, may_unpin=False)
        return Goal(shape, hope.narrowed, retry, may_unpin=False)

    def refuse_too_big(self, model: Model, shape: Shape, ask: Ask) -> None:
        state = self.state
        for request in [r for r in model.later if r.shape == shape]:
            state.end_waiting(request)
            self.out.append(too_big(state, model, ask, request.id, shape))

    def start(self, model: Model, goal: Goal) -> bool:
        """Load it if there is room that nobody ahead counts on."""
        state = self.state
        if max(self.running, self.staying) >= state.max_loaded:
            return False
        if goal.retry and self.leaving:
            return False  # the retry is worth something only once the room made for it is there
        placement = self.fit(model, goal, lesser(self.free, self.coming))
        if placement is None:
            return False
        if state.stale:
            self.measure(f"before loading {model.key}")
            return False
        self.load(model, goal, placement)
        return True

    def fit(self, model: Model, goal: Goal, room: Room) -> Placement | None:
        """A place in this room; if none is found, the one reserved last time, if it is still there.

        Dealing layers to GPUs is a heuristic: less room elsewhere can make it miss what it found before. But models
        further back were let in because the reserved place stayed free, so it must be taken.
        """
        found = place(model.costs, goal.ask, room, self.state.ledger)
        if found is None and model.reserved is not None:
            ask, reserved = model.reserved
            if ask == goal.ask and holds(room, self.state.ledger.charge(reserved.promised)):
                return reserved
        return found

    def load(self, model: Model, goal: Goal, placement: Placement) -> None:
        state = self.state
        lead = model.later.first()
        setup = setup_of(placement, goal.shape, (gpu.id for gpu in state.ledger.gpus))
        runner = Runner(
            id=state.next_runner,
            key=model.key,
            name=lead.name,
            placement=placement,
            setup=setup,
            started_at=state.now,
            duration=state.policy.keep_alive,
        )
        state.next_runner += 1
        state.runners[runner.id] = model.runner = runner
        state.ledger.promise(runner.id, placement.promised)
        charge = state.ledger.held(runner.id)
        take(self.free, charge)
        take(self.coming, charge)
        self.running += 1
        self.staying += 1
        model.admit_all()
        model.told, model.reserved = (), None
        del state.line[model.key]
        if model.later:
            state.join_line(model)  # those this load can't serve: at the end, it is others' turn now
        self.out.append(
            Load(
                runner=runner.id,
                name=lead.name,
                key=model.key,
                request=lead.id,
                want=lead.want,
                placement=placement,
                why=describe(placement, model),
            )
        )

    def make_room(self, model: Model, goal: Goal, own: Runner | None) -> None:
        """Choose who leaves for it and reserve its place."""
        state = self.state
        self.blocked += 1
        if self.ranked is None:
            self.ranked = candidates(state)
        found = least_victims(
            state,
            room=self.coming,
            spare=state.max_loaded - self.staying,
            forced=[own] if own is not None and own.id not in self.chosen else [],
            others=(
                runner
                for runner in self.ranked
                if runner is not own
                and runner.id not in self.chosen
                and (goal.may_unpin or not runner.pinned)
            ),
            fits=lambda room: self.fit(model, goal, room),
        )
        if found is None:
            return  # all that could leave is spoken for by models ahead
        placement, victims = found
        at = max((self.leaves_at(model, goal, own, v) for v in victims), default=state.now)
        for runner in victims:
            # Together, or not at all: while one must still serve, sending the others away gains nothing.
            self.chosen[runner.id] = Farewell(runner, model.key, at <= state.now)
            add(self.coming, state.ledger.held(runner.id))
        take(self.coming, state.ledger.charge(placement.promised))
        model.reserved = (goal.ask, placement)
        self.staying += 1 - len(victims)
        why = self.tell(model, victims)
        self.intents[model.key] = Intent(placement, tuple(v.id for v in victims), why, at)
        if at > state.now:
            self.due = min(self.due, at)

    def let_go(self, farewell: Farewell) -> None:
        """Unload who is idle, drain who is busy."""
        runner = farewell.runner
        if runner.phase is not Phase.READY:
            return
        drained = runner.draining_for is not None
        if runner.idle and (drained or (farewell.come and not self.state.has_work(runner))):
            ending = Ending.RELOAD if farewell.for_key == runner.key else Ending.ROOM
            why = f"to make room for {self.state.named(farewell.for_key)}"
            unload(self.state, runner, ending, why, self.out)
        elif farewell.come:
            drain(self.state, runner, farewell.for_key, self.out)

    def leaves_at(self, model: Model, goal: Goal, own: Runner | None, victim: Runner) -> float:
        """When the victim may be asked to take no more requests."""
        state = self.state
        if victim.draining_for is not None or (victim is own and self.grows(model, goal, own)):
            return state.now
        if victim.phase is Phase.LOADING:
            return math.inf  # known once it is ready
        if not state.has_work(victim):
            return lingers_until(state, victim)
        return max(model.line_since + state.policy.patience, victim.residency_ends(state.policy))

    def grows(self, model: Model, goal: Goal, own: Runner) -> bool:
        """A reload after which all are served, those served now too, gains nothing from being put off."""
        broken = mismatch(goal.shape, own.setup)
        if broken is None or not broken.upward:
            return False
        limit = (max(goal.ask.contexts), max(goal.ask.slots))
        return all(
            (shape.context or 0) <= limit[0] and (shape.slots or 0) <= limit[1] and serves(own.setup, shape)
            for shape in model.now.shapes
        )

    def measure(self, why: str) -> None:
        """Ask for a fresh look, once."""
        if not self.state.measure_asked:
            self.state.measure_asked = True
            self.out.append(Measure(why))

    def tell(self, model: Model, victims: list[Runner]) -> str:
        """Why the model waits; for the log when that has changed."""
        gist = (*(v.id for v in victims), bool(self.leaving))
        if model.told == gist:
            return model.told_why
        if victims:
            names = ", ".join(f"{v.name} (runner {v.id}, {condition(self.state, v)})" for v in victims)
            why = f"waits for room: {names} must leave first"
        elif self.leaving:
            why = "waits until memory being freed is free"
        else:
            why = "waits for a measurement"
        model.told, model.told_why = gist, why
        self.out.append(Explain(model.key, why))
        return why


def condition(state: State, runner: Runner) -> str:
    """One word for the log."""
    if runner.phase is not Phase.READY:
        return runner.phase.value
    if runner.draining_for is not None:
        return "draining"
    return "busy" if state.has_work(runner) else "idle"


def too_big(state: State, model: Model, ask: Ask, request: int, shape: Shape) -> Refuse:
    """The refusal for a model that this machine can't hold, now that others use what they use."""
    if shape.gpu_layers and state.ledger.gpus:
        numbers = {"num_gpu": shape.gpu_layers}
        return Refuse(request, Refusal.TOO_BIG, texts.layout(shape.gpu_layers), numbers)
    needed, available = shortfall(model.costs, ask, state.ledger.capacity, state.ledger)
    return Refuse(
        request,
        Refusal.TOO_BIG,
        texts.too_big(needed, available),
        {"needed": needed, "available": available},
    )


def describe(placement: Placement, model: Model) -> str:
    """Where it goes, in words."""
    size = texts.human(sum(placement.promised.values()))
    slots = f"{placement.slots} x {placement.context} tokens, {size}"
    if placement.fit is Fit.CPU:
        return f"on the CPU, {slots}"
    where = ", ".join(placement.gpus)
    if placement.fit is Fit.GPU:
        return f"whole on {where}, {slots}"
    return f"{placement.gpu_layers}/{model.demand.pieces} layers on {where}, the rest on the CPU, {slots}"
