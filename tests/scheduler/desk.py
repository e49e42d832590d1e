"""A scheduler on a desk: tests say what happened in few words and read what follows in few words."""

from __future__ import annotations

import math
from dataclasses import replace

from tropa.scheduler.actions import Action, Explain, Grant, Load, Measure, Refuse, Snapshot, Unload, WakeAt
from tropa.scheduler.core import Scheduler
from tropa.scheduler.demand import Compute, Demand, Layer, Measured, Want
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
from tropa.scheduler.machine import CPU, Device, Kind, Usage
from tropa.scheduler.policy import Policy
from tropa.scheduler.recording import dump, replay

CALM = Policy(
    fresh=math.inf,  # measure only when the test says so
    linger=0.0,
    patience=0.0,
    residency_least=0.0,
    residency_factor=0.0,
    num_parallel=1,
    default_context=1,
    small_context=1,
)
"""A policy without waiting times, one slot, one token: memory in tests is then small whole numbers."""


def model(
    key: str,
    size: int = 1,
    *,
    layers: int = 1,
    kv: int = 0,
    output: int = 0,
    trained: int = 0,
    compute: int = 0,
    embedding: bool = False,
    max_slots: int = 0,
    projector: int = 0,
    prompt_cache: int = 0,
    measured: tuple[Measured, ...] = (),
) -> Demand:
    """A model of `size` bytes in `layers` equal layers, with `kv` bytes per token and layer."""
    return Demand(
        key=key,
        layers=tuple(Layer(size // layers, kv) for _ in range(layers)),
        output=output,
        gpu_compute=Compute(fixed=compute),
        trained_context=trained,
        minimum_context=1,
        embedding=embedding,
        max_slots=max_slots,
        projector=projector,
        prompt_cache=prompt_cache,
        measured=measured,
    )


class Desk:
    """Runners are called by their model's key; a second one of the same key would be "key'"."""

    def __init__(self, *, memory: int = 10, gpus: tuple[int, ...] = (), policy: Policy = CALM) -> None:
        self.scheduler = Scheduler(policy, checked=True)
        self.at = 0.0
        self.devices = (
            Device(CPU, Kind.CPU, memory, memory),
            *(Device(f"cuda:{i}", Kind.GPU, size, size, "cuda") for i, size in enumerate(gpus)),
        )
        self.runners: dict[str, int] = {}
        self.loads: dict[str, Load] = {}
        self.names: dict[int, str] = {}
        self.said: list[str] = []
        self.see()

    def see(self, *free: int) -> list[str]:
        """Measure: `free` per device, cpu first; without, as little is free as our runners leave."""
        if not free:
            taken = self.scheduler.state.ledger.taken
            free = tuple(device.total - taken(device.id) for device in self.devices)
        return self.measure(free)

    def measure(self, free: tuple[int, ...], *usage: Usage) -> list[str]:
        """Measure, and what our runners use too."""
        devices = tuple(replace(d, free=size) for d, size in zip(self.devices, free, strict=True))
        return self.tell(DevicesSeen(self.at, devices, usage))

    def ask(
        self,
        request: int,
        demand: Demand | str,
        *,
        need: int = 1,
        client: str = "someone",
        context: int | None = None,
        keep_alive: float | None = None,
        want: Want | None = None,
    ) -> list[str]:
        if isinstance(demand, str):
            demand = model(demand, need)
        want = want or Want(context=context, keep_alive=keep_alive)
        return self.tell(Asked(self.at, request, client, demand.key, demand, want))

    def cancel(self, request: int) -> list[str]:
        return self.tell(Cancelled(self.at, request))

    def done(self, request: int) -> list[str]:
        return self.tell(Released(self.at, request))

    def ready(
        self, name: str, *, used: dict[str, int] | None = None, context: int | None = None
    ) -> list[str]:
        placement = self.loads[name].placement
        return self.tell(
            Loaded(self.at, self.runners[name], context or placement.context, placement.slots, used or {})
        )

    def failed(self, name: str, reason: str = "bad file", *, oom: bool = False) -> list[str]:
        return self.tell(LoadFailed(self.at, self.runners[name], reason, oom))

    def died(self, name: str, reason: str = "crash") -> list[str]:
        return self.tell(Died(self.at, self.runners[name], reason))

    def gone(self, name: str) -> list[str]:
        return self.tell(Gone(self.at, self.runners[name]))

    def unwanted(self, key: str) -> list[str]:
        return self.tell(Unwanted(self.at, key))

    def keep(self, key: str, seconds: float) -> list[str]:
        return self.tell(KeepAlive(self.at, key, seconds))

    def shutdown(self) -> list[str]:
        return self.tell(Shutdown(self.at))

    def wait(self, seconds: float) -> list[str]:
        """Time passes, with a Tick at its end."""
        self.at += seconds
        return self.tell(Tick(self.at))

    def tell(self, event: Event) -> list[str]:
        actions = self.scheduler.handle(event)
        for action in actions:
            if isinstance(action, Load):
                name = action.key
                while name in self.runners and self.runners[name] in self.scheduler.state.runners:
                    if self.runners[name] == action.runner:
                        break
                    name += "'"
                self.runners[name], self.loads[name] = action.runner, action
                self.names[action.runner] = name
        self.said = [words for action in actions if (words := self.words(action))]
        return [words for words in self.said if words.split()[0] not in ("wake", "explain")]

    def words(self, action: Action) -> str:
        match action:
            case Load():
                return f"load {self.names[action.runner]}"
            case Unload():
                return f"unload {self.names[action.runner]}"
            case Snapshot():
                return f"snapshot {self.names[action.runner]}"
            case Grant():
                return f"grant {action.request}"
            case Refuse():
                return f"refuse {action.request} {action.code}: {action.message}"
            case WakeAt():
                return f"wake {action.at:g}"
            case Measure():
                return "measure"
            case Explain():
                return f"explain {action.key} {action.why}"

    def load(self, request: int, demand: Demand | str, **more: object) -> None:
        """Ask, load and be granted, in one go."""
        name = demand if isinstance(demand, str) else demand.key
        said = self.ask(request, demand, **more)  # type: ignore[arg-type]
        assert said == [f"load {name}"], said
        assert f"grant {request}" in self.ready(name)

    def replays(self) -> bool:
        """Whether the recorded history gives the same actions again."""
        text = dump(self.scheduler.policy, self.scheduler.history)
        return all(then == now for _, then, now in replay(text))
