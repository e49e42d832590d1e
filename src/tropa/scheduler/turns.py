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
from tropa.scheduler.actions import Action, Explain, Fit, Load, Measure, Placement, Refusal, Refuse
from tropa.scheduler.asks import alone, ask_for, beside, no_worse_than
from tropa.scheduler.ledger import Room, add, lesser, take
from tropa.scheduler.model import Model
from tropa.scheduler.moves import drain, undrain, unload
from tropa.scheduler.placement import Ask, place, shortfall
from tropa.scheduler.reload import Shape, merged, mismatch, serves, setup_of
from tropa.scheduler.runner import Phase, Runner
from tropa.scheduler.state import State
from tropa.scheduler.victims import candidates, least_victims, lingers_until


@dataclass(frozen=True, slots=True)
class Goal:
    """What the model's next load should look like, and whether pinned runners may have to leave for it."""

    shape: Shape
    ask: Ask
    may_unpin: bool


@dataclass(frozen=True, slots=True)
class Intent:
    """What a waiting model waits for; what `plan` shows."""

    placement: Placement
    victims: tuple[int, ...]
    why: str
    drains_at: float


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
    chosen: set[int] = field(default_factory=set)
    due: float = math.inf
    intents: dict[str, Intent] = field(default_factory=dict)

    def __post_init__(self) -> None:
        state = self.state
        self.leaving = [r.id for r in state.runners.values() if r.phase is Phase.LEAVING]
        self.free = state.ledger.free()
        self.coming = state.ledger.free(without=self.leaving)
        self.running = len(state.runners)
        self.staying = self.running - len(self.leaving)

    def run(self) -> dict[str, Intent]:
        """Look at the line once."""
        state = self.state
        blocked = 0
        # Whoever gets its load leaves the line, so a few more than the window are worth a look.
        for key in tuple(islice(state.line, 4 * state.policy.window)):
            if blocked >= state.policy.window:
                break
            model = state.line.get(key)
            if model is not None and not self.advance(model):
                blocked += 1
        for runner in list(state.draining.values()):
            if runner.id not in self.chosen:
                undrain(state, runner, self.out)
        state.line_due = self.due
        return self.intents

    def advance(self, model: Model) -> bool:
        """Do what can be done for the model; whether it has left the line."""
        state = self.state
        own = model.runner
        if own is not None and own.draining_for not in (None, model.key) and own.id not in self.chosen:
            undrain(state, own, self.out)  # nobody ahead needs its room any more
        goal = self.goal(model)
        if goal is None:
            return not model.later
        if own is not None and own.phase is Phase.LOADING:
            return False  # it will serve those it was loaded for, then make way for its own successor
        if own is None and self.start(model, goal):
            return True
        self.make_room(model, goal, own)
        return False

    def goal(self, model: Model) -> Goal | None:
        """What to load for those waiting; refuses those for whom nothing can be. None: nothing to do now."""
        state = self.state
        floor = model.runner.setup.context if model.runner is not None else model.hot_context
        while model.later:
            lead = model.later.first().shape
            for shape in dict.fromkeys((merged(lead, model.later.shapes), lead)):
                ask = ask_for(model, shape, floor, state.policy)
                target = alone(model, ask, state.ledger)
                if target is not None:
                    return self.spare_pinned(model, shape, ask, target)
            if state.stale:
                self.measure(f"{model.key} would not fit, as far as known")
                return None
            self.refuse_too_big(model, lead, ask)
        return None

    def spare_pinned(self, model: Model, shape: Shape, ask: Ask, target: Placement) -> Goal:
        """A pinned runner yields only when nothing else can: a worse place beside it is preferred."""
        pinned = [
            r
            for r in self.state.runners.values()
            if r.pinned and r.phase is not Phase.LEAVING and r is not model.runner
        ]
        if pinned:
            fixed: Room = {}
            for runner in pinned:
                add(fixed, self.state.ledger.held(runner.id))
            spared = beside(model, ask, fixed, self.state.ledger)
            if spared is None or len(pinned) >= self.state.max_loaded:
                return Goal(shape, no_worse_than(ask, target), may_unpin=True)
            target = spared
        return Goal(shape, no_worse_than(ask, target), may_unpin=False)

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
        if model.short_of_memory and self.leaving:
            return False  # the retry is worth something only once the room made for it is there
        room = lesser(self.free, self.coming)
        placement = place(model.costs, goal.ask, room, state.ledger)
        if placement is None:
            return False
        if state.stale:
            self.measure(f"before loading {model.key}")
            return False
        self.load(model, goal, placement)
        return True

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
        model.told = ""
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
        """Choose who leaves for it, reserve its place, and let the chosen go when their time has come."""
        state = self.state
        forced = [own] if own is not None and own.id not in self.chosen else []
        found = least_victims(
            state,
            room=self.coming,
            spare=state.max_loaded - self.staying,
            forced=forced,
            others=candidates(state, self.chosen, own, may_unpin=goal.may_unpin),
            fits=lambda room: place(model.costs, goal.ask, room, state.ledger),
        )
        if found is None:
            return  # all that could leave is spoken for by models ahead
        placement, victims = found
        for runner in victims:
            self.chosen.add(runner.id)
            add(self.coming, state.ledger.held(runner.id))
        take(self.coming, state.ledger.charge(placement.promised))
        self.staying += 1 - len(victims)
        at = max((self.leaves_at(model, goal, own, v) for v in victims), default=state.now)
        why = self.tell(model, victims)
        self.intents[model.key] = Intent(placement, tuple(v.id for v in victims), why, at)
        for runner in victims:
            # Together, or not at all: while one must still serve, sending the others away gains nothing.
            draining = runner.draining_for is not None
            if runner.idle and (draining or (at <= state.now and not state.has_work(runner))):
                unload(state, runner, f"to make room for {model.key}", self.out)
            elif at <= state.now and runner.phase is Phase.READY:
                drain(state, runner, model.key, self.out)
        if at > state.now:
            self.due = min(self.due, at)

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
        """Why the model waits, for the log, when that has changed."""
        if victims:
            names = ", ".join(f"{v.name} (runner {v.id}, {condition(self.state, v)})" for v in victims)
            why = f"waits for room: {names} must leave first"
        elif self.leaving:
            why = "waits until memory being freed is free"
        else:
            why = "waits for a measurement"
        gist = f"{why[:16]}{[v.id for v in victims]}"
        if model.told != gist:
            model.told = gist
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
