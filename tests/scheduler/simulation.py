"""A fake shell in a fake world: it performs actions with delays, reports events, and believes nothing.

What the scheduler keeps in its own state is checked by `invariants`; here the same promises are checked from
outside, by somebody who only sees events and actions.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field, replace

from tests.scheduler.promises import (
    GONE_SECONDS,
    LOAD_SECONDS,
    MEASURE_SECONDS,
    Patience,
    check_plan,
    fingerprint,
    residency,
)
from tests.scheduler.scenario import Arrival, Scenario, Tape, scenario
from tropa.scheduler.actions import Action, Explain, Grant, Load, Measure, Refuse, Snapshot, Unload, WakeAt
from tropa.scheduler.core import Scheduler
from tropa.scheduler.events import (
    Asked,
    Cancelled,
    DevicesSeen,
    Died,
    Event,
    Gone,
    KeepAlive,
    Loaded,
    LoadFailed,
    Released,
    Shutdown,
    Tick,
    Unwanted,
)
from tropa.scheduler.ledger import ALL
from tropa.scheduler.machine import CPU, Usage
from tropa.scheduler.placement import Costs, growth
from tropa.scheduler.reload import cap_context


@dataclass(slots=True)
class Process:
    """What the world knows of a runner."""

    load: Load
    started: float
    uses: dict[str, int]
    ready: bool = False
    ending: bool = False
    unloaded: bool = False
    draining: bool = False
    slots: int = 0
    ready_at: float = 0.0
    granted: set[int] = field(default_factory=set)


@dataclass(slots=True)
class Asking:
    """A request as its client knows it."""

    arrival: Arrival
    at: float
    ahead: int
    """Requests waiting for the model when it was asked."""
    own: int
    """Those of its own client, itself included."""
    disturbed: int
    runner: int | None = None


@dataclass(slots=True)
class Simulation:
    """One history."""

    setting: Scenario
    tape: Tape
    planning: bool = False
    """Also ask now and then what would happen, and compare."""
    scheduler: Scheduler = field(init=False)
    now: float = 0.0
    agenda: list[tuple[float, int, Event | str, int]] = field(default_factory=list)
    """A heap of (time, tie-break, what, which)."""
    count: int = 0
    processes: dict[int, Process] = field(default_factory=dict)
    asking: dict[int, Asking] = field(default_factory=dict)
    next_request: int = 1
    alarm: float = math.inf
    foreign: dict[str, int] = field(default_factory=dict)
    foreign_moved: bool = False
    disturbances: int = 0
    """Faults and wishes that may each cost a waiting model one more turn."""
    rare: int = 0
    """Requests that don't come from a loop and haven't ended."""
    stopping: bool = False
    events: int = 0
    patience: Patience = field(init=False)
    failed: dict[int, int] = field(default_factory=dict)
    """Failed loads per request that led to them."""

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(replace(self.setting.policy, history=100_000), checked=True)
        self.patience = Patience(self.setting.policy, len(self.setting.models))

    # --- the world

    def at(self, after: float, what: Event | str, which: int = 0) -> None:
        self.count += 1
        heapq.heappush(self.agenda, (self.now + after, self.count, what, which))

    def run(self) -> None:
        """Play the script to its end, then until nobody waits, then stop the server."""
        self.foreign = {d.id: n for d, n in zip(self.setting.devices, self.setting.foreign, strict=True)}
        self.measure()
        when = 0.0
        for index, arrival in enumerate(self.setting.arrivals):
            when += arrival.after
            self.at(when, "arrive", index)
            self.rare += not arrival.hot
        shutdown_early = self.setting.faulty and self.tape.below(8) == 7
        if shutdown_early:
            self.at(2.0, "shutdown")
        while self.agenda or self.alarm < math.inf:
            if not self.agenda or self.alarm <= self.agenda[0][0]:
                if not self.asking and not self.agenda:
                    break
                self.now, self.alarm = self.alarm, math.inf
                self.tell(Tick(self.now))
                continue
            self.now, _, what, which = heapq.heappop(self.agenda)
            self.happen(what, which)
        assert not self.asking, f"requests {sorted(self.asking)} never ended"
        if not self.stopping:
            self.now += 1.0
            self.happen("shutdown", 0)
            while self.agenda:
                self.now, _, what, which = heapq.heappop(self.agenda)
                self.happen(what, which)
        state = self.scheduler.state
        assert not state.runners, "no runner is left over"
        assert not state.requests
        assert not any(state.ledger.taken(device) for device in (*state.ledger.devices, ALL)), "no byte leaks"
        assert not self.processes

    def happen(self, what: Event | str, which: int) -> None:
        match what:
            case "arrive":
                self.arrive(self.setting.arrivals[which])
            case "leave":
                asking = self.asking.get(which)
                if asking is not None and asking.runner is None:
                    self.disturbances += 1
                    self.end(which)
                    self.tell(Cancelled(self.now, which))
            case "done":
                asking = self.asking.get(which)
                if asking is not None:
                    self.release(which, asking)
            case "ready":
                process = self.processes.get(which)
                if process is not None and not process.ending:
                    self.ready(which, process)
            case "fail" | "oom":
                process = self.processes.get(which)
                if process is not None and not process.ending:
                    process.ending = True
                    self.disturbances += 1
                    lead = process.load.request
                    self.failed[lead] = self.failed.get(lead, 0) + 1
                    self.at(self.tape.choose(GONE_SECONDS), "gone", which)
                    self.tell(LoadFailed(self.now, which, what, what == "oom"))
            case "die":
                process = self.processes.get(which)
                if process is not None and not process.ending:
                    process.ending = True
                    self.disturbances += 1
                    self.at(self.tape.choose(GONE_SECONDS), "gone", which)
                    self.tell(Died(self.now, which, "signal 11"))
                    for request in sorted(process.granted):
                        self.release(request, self.asking[request])
            case "gone":
                del self.processes[which]
                self.tell(Gone(self.now, which))
            case "measure":
                self.measure()
            case "shutdown":
                self.stopping = True
                self.tell(Shutdown(self.now))
            case _:
                assert not isinstance(what, str)
                self.tell(what)

    def arrive(self, arrival: Arrival) -> None:
        if self.stopping and arrival.hot:
            return
        number = self.next_request
        self.next_request += 1
        demand = self.setting.models[arrival.model]
        before = [a for a in self.asking.values() if a.runner is None and a.arrival.model == arrival.model]
        own = 1 + sum(a.arrival.client == arrival.client for a in before)
        self.asking[number] = Asking(arrival, self.now, len(before), own, self.disturbances)
        if arrival.want.keep_alive is not None and arrival.want.keep_alive < 0:
            self.disturbances += 1
        if arrival.leaves_after < math.inf:
            self.at(arrival.leaves_after, "leave", number)
        foretold = None
        if self.planning and self.tape.below(4) == 3:
            unplanned = fingerprint(self.scheduler.state)
            foretold = self.scheduler.plan(self.now, demand, demand.key, arrival.want, arrival.client)
            assert fingerprint(self.scheduler.state) == unplanned, "planning changes nothing"
        actions = self.tell(Asked(self.now, number, arrival.client, demand.key, demand, arrival.want))
        if foretold is not None:
            check_plan(foretold, number, demand.key, actions)
        if self.setting.faulty:
            self.meddle(demand.key)

    def meddle(self, key: str) -> None:
        """Now and then something else happens too."""
        match self.tape.below(12):
            case 8:
                self.tell(Unwanted(self.now, key))
            case 9:
                self.disturbances += 1
                self.tell(KeepAlive(self.now, key, self.tape.choose((1.0, math.inf))))
            case 10:
                self.disturbances += 1
                self.foreign_moved = True
                device = self.tape.choose(self.setting.devices)
                self.foreign[device.id] = device.total * self.tape.below(4) // 4
                self.measure()
            case 11:
                self.measure()
            case _:
                pass

    def release(self, request: int, asking: Asking) -> None:
        assert asking.runner is not None
        process = self.processes.get(asking.runner)
        if process is not None:
            process.granted.discard(request)
        self.end(request)
        self.tell(Released(self.now, request))
        if asking.arrival.hot and self.rare > 0:
            self.arrive(asking.arrival)

    def end(self, request: int) -> None:
        asking = self.asking.pop(request)
        if not asking.arrival.hot:
            self.rare -= 1

    def ready(self, runner: int, process: Process) -> None:
        placement = process.load.placement
        process.ready, process.slots, process.ready_at = True, placement.slots, self.now
        if self.setting.faulty and self.tape.below(8) == 7:
            self.at(0.7, "die", runner)
        self.tell(Loaded(self.now, runner, placement.context, placement.slots, process.uses))

    def measure(self) -> None:
        devices, usage = [], []
        taken = dict.fromkeys((d.id for d in self.setting.devices), 0)
        shared = {d.id for d in self.setting.devices if d.integrated}
        for runner, process in self.processes.items():
            part = {
                d: size // 2 if not process.ready or process.ending else size
                for d, size in process.uses.items()
            }
            for where, size in part.items():
                taken[where] += size
                if where in shared:
                    taken[CPU] += size
            if process.ready and not process.ending:
                usage.append(Usage(runner, part))
        for device in self.setting.devices:
            free = max(0, device.total - taken[device.id] - self.foreign.get(device.id, 0))
            devices.append(replace(device, free=free))
        self.tell(DevicesSeen(self.now, tuple(devices), tuple(usage)))

    # --- the shell

    def tell(self, event: Event) -> list[Action]:
        self.events += 1
        assert self.events < 20_000, "a history without end"
        state = self.scheduler.state
        draining = set(state.draining)
        actions = self.scheduler.handle(event)
        undrained = {a.runner for a in actions if isinstance(a, Explain) and a.why.startswith("serves on")}
        for action in actions:
            if isinstance(action, Grant):
                assert action.runner not in draining - undrained, "a draining runner gets no new work"
            self.perform(action)
        self.watch(draining)
        return actions

    def watch(self, draining: set[int]) -> None:
        """No thrash: nobody is drained for another model before it has served for its time. And no starvation."""
        state = self.scheduler.state
        for runner in state.draining.values():
            if runner.id not in draining and runner.draining_for != runner.key:
                process = self.processes[runner.id]
                served = residency(self.setting.policy, process.ready_at - process.started)
                assert self.now >= process.ready_at + served, "drained too early"
        for asking in self.asking.values():
            if asking.runner is None and not asking.arrival.hot:
                self.patience.check_request(asking, self.now, self.disturbances)
        self.patience.check_line(state, self.now, self.disturbances)

    def perform(self, action: Action) -> None:
        match action:
            case Load():
                self.start(action)
            case Unload(runner=runner):
                process = self.processes[runner]
                assert not process.unloaded
                assert not process.ending
                if not self.stopping:
                    assert not process.granted, "a busy runner is never unloaded"
                process.unloaded = process.ending = True
                for request in sorted(process.granted):
                    self.at(0.0, "done", request)
                self.at(self.tape.choose(GONE_SECONDS), "gone", runner)
            case Grant():
                self.grant(action)
            case Refuse(request=request):
                asking = self.asking[request]
                assert asking.runner is None
                self.end(request)
                if asking.arrival.hot and self.rare > 0 and self.setting.policy.max_queue > 4:
                    self.disturbances += 1
            case WakeAt(at=at):
                assert at < self.alarm
                self.alarm = max(at, self.now)
            case Measure():
                self.at(MEASURE_SECONDS, "measure")
            case Snapshot(runner=runner):
                assert not self.processes[runner].ending
            case Explain():
                pass

    def start(self, load: Load) -> None:
        for other in self.processes.values():
            if other.load.key == load.key:
                assert other.ending, "no model is loaded twice"
        allowed = self.setting.policy.load_attempts + 1
        assert self.failed.get(load.request, 0) <= allowed, "one retry for want of memory, and no more"
        promised = load.placement.promised
        self.processes[load.runner] = Process(load, self.now, dict(promised))
        demand = next(m for m in self.setting.models if m.key == load.key)
        more = growth(Costs(demand), promised)
        uses = self.processes[load.runner].uses
        for device, size in more.items():
            uses[device] -= size
        self.check_memory()
        assert len(self.processes) <= self.scheduler.state.max_loaded
        luck = self.tape.byte()
        outcome = "ready"
        if self.setting.faulty and luck % 8 == 5:
            outcome = "fail"
        elif self.setting.faulty and luck % 8 == 6:
            outcome = "oom"
        outcome = self.setting.cursed.get(load.key, outcome)
        self.at(LOAD_SECONDS[luck // 8 % 3], outcome, load.runner)

    def check_memory(self) -> None:
        """What is promised to all processes alive never exceeds what the machine and the user's limits allow."""
        policy = self.setting.policy
        limits = dict(policy.device_limits)
        held = dict.fromkeys((d.id for d in self.setting.devices), 0)
        for process in self.processes.values():
            for where, size in process.load.placement.promised.items():
                held[where] += size
        if policy.memory_limit is not None:
            assert sum(held.values()) <= policy.memory_limit
        for device in self.setting.devices:
            if device.integrated:
                held[CPU] += held[device.id]
        for device in self.setting.devices:
            most = device.total - (policy.gpu_overhead if device.id != CPU else 0)
            if not self.foreign_moved:
                assert held[device.id] <= most - self.foreign.get(device.id, 0)
            assert held[device.id] <= min(most, limits.get(device.id, most)), "promised beyond what there is"

    def grant(self, grant: Grant) -> None:
        asking = self.asking[grant.request]
        process = self.processes[grant.runner]
        demand = self.setting.models[asking.arrival.model]
        assert asking.runner is None, "granted once"
        assert process.load.key == demand.key
        assert process.ready
        assert not process.ending
        process.granted.add(grant.request)
        asking.runner = grant.runner
        assert len(process.granted) <= process.slots
        if asking.arrival.want.context is not None:
            assert grant.context == cap_context(demand, asking.arrival.want.context)
        else:
            assert grant.context == process.load.placement.context
        self.patience.check_request(asking, self.now, self.disturbances)
        self.at(asking.arrival.seconds, "done", grant.request)


def simulate(data: bytes, *, planning: bool = False) -> Simulation:
    """Play the history of this tape to its end."""
    tape = Tape(data)
    setting = scenario(tape)
    if planning:  # a plan takes the last measurement as it is
        setting = replace(setting, policy=replace(setting.policy, fresh=math.inf))
    simulation = Simulation(setting, tape, planning)
    simulation.run()
    return simulation
