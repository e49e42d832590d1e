"""What one event costs the scheduler: with few and with 10,000 waiting requests, on a CPU and on eight GPUs.

    python benchmarks/scheduler_cost.py [--events 50000] [--quick]

A closed world of simulated time: every finished request is followed by another for a random model, so the number
waiting stays the same while models are swapped all the time. Only `Scheduler.handle` is timed, in CPU time,
each event by itself. Aim: under 50 us per event, flat. The last line is JSON.
"""

from __future__ import annotations

import argparse
import heapq
import json
import platform
import random
import statistics
import sys
import time
from dataclasses import dataclass, field, replace

from tropa.scheduler.actions import Action, Grant, Load, Measure, Refuse, Unload, WakeAt
from tropa.scheduler.core import Scheduler
from tropa.scheduler.demand import Compute, Demand, Layer
from tropa.scheduler.events import Asked, DevicesSeen, Event, Gone, Loaded, Released, Tick
from tropa.scheduler.machine import CPU, Device, Kind
from tropa.scheduler.policy import GIB, Policy

MIB = 1 << 20


def a_model(index: int) -> Demand:
    """Something like a 7B model at 4 bits, in eight sizes."""
    size = (1 + index % 8) * GIB // 2
    return Demand(
        key=f"model-{index}",
        layers=tuple(Layer(size // 32, 16384) for _ in range(32)),
        output=100 * MIB,
        embeddings=100 * MIB,
        gpu_compute=Compute(300 * MIB, 64.0),
        cpu_compute=Compute(200 * MIB, 64.0),
        overhead=200 * MIB,
        prompt_cache=512 * MIB,
        trained_context=131072,
    )


@dataclass
class World:
    """Performs the actions at once, reports their events after simulated delays."""

    scheduler: Scheduler
    models: list[Demand]
    devices: tuple[Device, ...]
    clients: int
    rng: random.Random
    now: float = 0.0
    next_request: int = 0
    agenda: list[tuple[float, int, str, int]] = field(default_factory=list)
    loads: dict[int, Load] = field(default_factory=dict)
    costs: dict[str, list[int]] = field(default_factory=dict)
    timing: bool = False
    waiting: int = 0

    def tell(self, event: Event) -> None:
        begin = time.thread_time_ns()
        actions = self.scheduler.handle(event)
        cost = time.thread_time_ns() - begin
        if self.timing:
            self.costs.setdefault(type(event).__name__, []).append(cost)
        for action in actions:
            self.perform(action)

    def at(self, after: float, what: str, which: int) -> None:
        self.next_request += 1
        heapq.heappush(self.agenda, (self.now + after, self.next_request, what, which))

    def perform(self, action: Action) -> None:
        match action:
            case Load():
                self.loads[action.runner] = action
                self.at(3.0, "loaded", action.runner)
            case Unload():
                self.at(0.5, "gone", action.runner)
            case Grant():
                self.waiting -= 1
                self.at(self.rng.uniform(0.5, 8.0), "released", action.request)
            case WakeAt():
                self.at(max(0.0, action.at - self.now), "tick", 0)
            case Measure():
                self.at(0.0, "measure", 0)
            case Refuse():
                raise AssertionError(action)
            case _:
                pass

    def ask(self) -> None:
        self.next_request += 1
        self.waiting += 1
        demand = self.rng.choice(self.models)
        client = f"client-{self.rng.randrange(self.clients)}"
        self.tell(Asked(self.now, self.next_request, client, demand.key, demand))

    def measure(self) -> None:
        taken = self.scheduler.state.ledger.taken
        seen = (Device(d.id, d.kind, d.total, d.total - taken(d.id), d.library) for d in self.devices)
        self.tell(DevicesSeen(self.now, tuple(seen)))

    def step(self) -> None:
        self.now, _, what, which = heapq.heappop(self.agenda)
        match what:
            case "loaded":
                placement = self.loads.pop(which).placement
                self.tell(Loaded(self.now, which, placement.context, placement.slots, {}))
            case "gone":
                self.tell(Gone(self.now, which))
            case "released":
                self.tell(Released(self.now, which))
                self.ask()
            case "tick":
                self.tell(Tick(self.now))
            case _:
                self.measure()


def a_world(gpus: int, models: int, waiting: int, policy: Policy) -> World:
    """A machine with that many requests waiting."""
    devices = (
        Device(CPU, Kind.CPU, 64 * GIB, 64 * GIB),
        *(Device(f"cuda:{i}", Kind.GPU, 24 * GIB, 24 * GIB, "cuda") for i in range(gpus)),
    )
    scheduler = Scheduler(replace(policy, max_queue=10 * waiting + 100))
    world = World(scheduler, [a_model(i) for i in range(models)], devices, 100, random.Random(1))
    world.measure()
    while world.waiting < waiting:
        world.ask()
    return world


def windows() -> None:
    """What the size of the window costs and gives, over 400 simulated seconds."""
    for gpus, models in ((8, 1000), (8, 60), (2, 1000), (0, 1000)):
        for window in (1, 2, 4, 8, 16):
            world = a_world(gpus, models, 2000, Policy(window=window))
            world.timing = True
            while world.now < 400:
                world.step()
            every = [cost for costs in world.costs.values() for cost in costs]
            served = len(world.costs["Released"]) / world.now
            loads = len(world.costs["Loaded"]) / world.now
            print(
                f"{gpus} gpus, {models} models, window {window:2}: {served:5.2f} served/s, "
                f"{loads:.2f} loads/s, {statistics.fmean(every) / 1000:.0f} us per event"
            )


def measure(name: str, gpus: int, models: int, waiting: int, events: int) -> dict[str, object]:
    """Fill the queue, let it run, time it."""
    world = a_world(gpus, models, waiting, Policy())
    for _ in range(events // 10):
        world.step()
    world.timing = True
    while sum(map(len, world.costs.values())) < events:
        world.step()
    every = sorted(cost for costs in world.costs.values() for cost in costs)
    result: dict[str, object] = {
        "name": name,
        "gpus": gpus,
        "models": models,
        "waiting": world.waiting,
        "events": len(every),
        "mean_us": round(statistics.fmean(every) / 1000, 1),
        "median_us": round(every[len(every) // 2] / 1000, 1),
        "p99_us": round(every[len(every) * 99 // 100] / 1000, 1),
        "max_us": round(every[-1] / 1000, 1),
    }
    print(
        f"{name}: mean {result['mean_us']} us, median {result['median_us']}, p99 {result['p99_us']}, ", end=""
    )
    print(f"max {result['max_us']} over {len(every)} events, {world.waiting} waiting")
    for kind, costs in sorted(world.costs.items()):
        costs.sort()
        mean, p99 = statistics.fmean(costs) / 1000, costs[len(costs) * 99 // 100] / 1000
        print(f"    {kind:12} {len(costs):7} x  mean {mean:7.1f} us   p99 {p99:7.1f}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--quick", action="store_true", help="a tenth of the events")
    parser.add_argument("--windows", action="store_true", help="compare sizes of the window instead")
    args = parser.parse_args()
    if args.windows:
        windows()
        return
    events = args.events // 10 if args.quick else args.events
    machine = f"{platform.processor() or platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}, {platform.system()} {platform.release()}")
    results = [
        measure("cpu, 10 models, 100 waiting", 0, 10, 100, events),
        measure("cpu, 1000 models, 10000 waiting", 0, 1000, 10_000, events),
        measure("8 gpus, 10 models, 100 waiting", 8, 10, 100, events),
        measure("8 gpus, 1000 models, 10000 waiting", 8, 1000, 10_000, events),
    ]
    print(json.dumps({"machine": machine, "argv": sys.argv[1:], "results": results}))


if __name__ == "__main__":
    main()
