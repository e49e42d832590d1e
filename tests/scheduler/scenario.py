"""A tape of bytes becomes a machine, a policy, models and clients.

Every choice of a simulated history reads the next byte of its tape; a tape that has run out reads zeros, which
stand for the calmest choice. So hypothesis can shrink a failure by shortening the tape and lowering its
bytes, and the soak can make tapes by the million from a seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tropa.scheduler.demand import Compute, Demand, Layer, Want
from tropa.scheduler.machine import CPU, Device, Kind
from tropa.scheduler.policy import Policy

T = TypeVar("T")


@dataclass(slots=True)
class Tape:
    """Choices, in order."""

    data: bytes
    at: int = 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1] if self.at <= len(self.data) else 0

    def below(self, limit: int) -> int:
        return self.byte() % limit

    def choose(self, options: Sequence[T]) -> T:
        return options[self.byte() % len(options)]

    @property
    def over(self) -> bool:
        return self.at >= len(self.data)


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request of the script; `loops` of them follow one another, each asked when the last is answered."""

    after: float
    client: str
    model: int
    want: Want
    seconds: float
    leaves_after: float
    hot: bool


@dataclass(frozen=True, slots=True)
class Scenario:
    devices: tuple[Device, ...]
    policy: Policy
    models: tuple[Demand, ...]
    arrivals: tuple[Arrival, ...]
    faulty: bool
    """Loads may fail, runners die, others use memory."""
    foreign: tuple[int, ...]
    """What others use of each device at first."""
    cursed: dict[str, str]
    """Models whose every load ends so: "fail" or "oom"."""


def scenario(tape: Tape) -> Scenario:
    devices = _devices(tape)
    policy = _policy(tape, devices)
    models = tuple(_model(tape, i, devices) for i in range(1 + tape.below(5)))
    fate = tape.byte()
    faulty = fate % 3 == 2
    foreign = tuple(fate // 32 if fate % 4 == 3 else 0 for _ in devices)
    cursed = {}
    if faulty and fate >= 128:
        cursed[models[fate % len(models)].key] = "oom" if fate & 8 else "fail"
    arrivals: list[Arrival] = []
    while not tape.over and len(arrivals) < 24:
        arrivals.append(_arrival(tape, len(models)))
    return Scenario(devices, policy, models, tuple(arrivals), faulty, foreign, cursed)


def _devices(tape: Tape) -> tuple[Device, ...]:
    count = tape.choose((0, 0, 0, 1, 1, 2, 3, 8))
    memory = tape.choose((20, 40, 80))
    devices = [Device(CPU, Kind.CPU, memory, memory)]
    for i in range(count):
        size = tape.choose((10, 10, 20, 30))
        library = "cuda" if i < 4 or count < 8 else "rocm"
        integrated = count == 1 and tape.below(4) == 3
        devices.append(Device(f"gpu:{i}", Kind.GPU, size, size, library, integrated))
    return tuple(devices)


def _policy(tape: Tape, devices: tuple[Device, ...]) -> Policy:
    odd = tape.byte()
    residency = tape.choose((0.0, 1.0, 4.0))
    return Policy(
        max_loaded=tape.choose((None, None, 1, 2, 3)),
        num_parallel=tape.choose((1, None, 2, 4)),
        max_queue=4 if odd % 16 == 1 else 64,
        keep_alive=tape.choose((300.0, 5.0, 0.0, math.inf)),
        default_context=tape.choose((1, 2, 4)),
        small_context=1,
        memory_limit=15 if odd % 16 == 2 else None,
        device_limits=((devices[-1].id, 9),) if odd % 16 == 3 else (),
        gpu_overhead=1 if odd % 16 == 4 else 0,
        spread=odd % 16 == 5,
        patience=tape.choose((0.0, 1.0, 3.0)),
        residency_least=residency,
        residency_most=residency * 4,
        residency_factor=tape.choose((0.0, 2.0)),
        linger=tape.choose((0.0, 0.5)),
        load_attempts=2 if odd % 16 == 6 else 1,
        crash_limit=2,
        fresh=1.0 if odd & 16 else math.inf,
        window=tape.choose((8, 1, 2)),
        snapshot=odd % 16 == 7,
    )


def _model(tape: Tape, index: int, devices: tuple[Device, ...]) -> Demand:
    kind = tape.byte()
    layers = 1 + kind % 4
    size = tape.choose((4, 8, 12, 16, 24, 40)) // layers
    return Demand(
        key=f"m{index}",
        layers=tuple(Layer(size, (kind >> 4) & 1) for _ in range(layers)),
        output=(kind >> 2) & 1,
        gpu_compute=Compute(fixed=(kind >> 3) & 1),
        minimum_context=1,
        trained_context=(0, 3)[(kind >> 5) & 1],
        embedding=kind >= 224,
        max_slots=int((kind >> 6) == 2),
        projector=2 * (kind % 16 == 15),
        prompt_cache=int(kind % 8 == 6),
    )


_WANTS = (
    *[Want()] * 6,
    Want(context=1),
    Want(context=2),
    Want(context=6),
    Want(num_gpu=0),
    Want(num_gpu=2),
    Want(main_gpu=0),
    Want(num_thread=2),
    Want(slots=2),
    Want(keep_alive=0.0),
    Want(keep_alive=-1.0),
)


def _arrival(tape: Tape, models: int) -> Arrival:
    who = tape.byte()
    how = tape.byte()
    hot = who >= 192
    return Arrival(
        after=(0.0, 0.0, 0.3, 2.0)[how % 4],
        client=f"c{who % 3}",
        model=(who >> 2) % models,
        want=_WANTS[(how >> 2) % 16],
        seconds=(0.2, 1.0, 2.5, 0.2 if hot else 0.0)[(who >> 5) % 4],
        leaves_after=2.0 if how >= 224 else math.inf,
        hot=hot,
    )
