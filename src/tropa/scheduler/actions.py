"""Wishes: what the scheduler wants done. The shell performs them in order and reports back with events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from tropa.scheduler.demand import Want


class Fit(IntEnum):
    """How well a model sits; more is better."""

    CPU = 0
    PARTIAL = 1
    """Some layers on GPUs."""
    GPU = 2
    """Every layer on one or several GPUs."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where and how a model is to run.

    `context` is per slot: multiply by `slots` while writing the launch arguments and nowhere else.
    `gpus` are the GPUs in use, in the order in which pieces are dealt; only these may be visible to the
    engine. `tensor_split[i]` is the number of pieces on `gpus[i]`. `gpu_layers` counts the output as a piece
    (see demand.py); 0 means CPU only. `promised` is what this runner may take, per device.
    """

    context: int
    slots: int
    batch: int
    fit: Fit
    gpu_layers: int
    gpus: tuple[str, ...]
    tensor_split: tuple[int, ...]
    projector_on_gpu: bool
    promised: Mapping[str, int] = field(hash=False)

    @property
    def main_gpu(self) -> str | None:
        """The GPU that also carries the projector and small tensors."""
        return self.gpus[0] if self.gpus else None


@dataclass(frozen=True, slots=True)
class Load:
    """Start a runner. Answer with Loaded, or LoadFailed and then Gone.

    `runner` is a number never used before. `want` is what the load was shaped by (threads, mmap, cache
    type ...); `request` is the waiting request that led to it, `name` the name it used.
    """

    runner: int
    name: str
    key: str
    request: int
    want: Want
    placement: Placement
    why: str


class Ending(StrEnum):
    """Why a runner was ended; stable names for counts and tests."""

    ROOM = "room"
    """Another model needs its place."""
    RELOAD = "reload"
    """Its own model is to be loaded differently."""
    EXPIRED = "expired"
    """Idle for as long as it was to be kept, which may be not at all."""
    UNWANTED = "unwanted"
    """While it was loading, all who waited for it left."""
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class Unload:
    """End a runner: it is idle, or its load is wanted by nobody, or the server stops. Answer with Gone.

    After this, Loaded, LoadFailed or Died of the same runner may still cross it and change nothing.
    """

    runner: int
    ending: Ending
    why: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Save the runner's KV caches if you can, before the Unload that follows in the same list."""

    runner: int


@dataclass(frozen=True, slots=True)
class Grant:
    """The request owns a slot of the runner until the shell says Released.

    `context` is what the request may use: its own ask, or the runner's when it asked for none.
    """

    request: int
    runner: int
    context: int


class Refusal(StrEnum):
    """Why a request was refused; stable names for logs, tests and status codes."""

    QUEUE_FULL = "queue-full"
    TOO_BIG = "too-big"
    BAD_OPTION = "bad-option"
    LOAD_FAILED = "load-failed"
    OUT_OF_MEMORY = "out-of-memory"
    CRASHED = "crashed"
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class Refuse:
    """The request ends here. `message` is what its user reads; `numbers` are those in it (bytes, counts)."""

    request: int
    code: Refusal
    message: str
    numbers: Mapping[str, int] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send a Tick at this time. Each WakeAt replaces the one before."""

    at: float


@dataclass(frozen=True, slots=True)
class Measure:
    """Measure the devices now and answer with DevicesSeen: a decision waits for a fresh look."""

    why: str


@dataclass(frozen=True, slots=True)
class Explain:
    """A decision that is no other action, for the log: a runner drains, a model waits for another."""

    key: str
    why: str
    runner: int | None = None


Action = Load | Unload | Snapshot | Grant | Refuse | WakeAt | Measure | Explain
