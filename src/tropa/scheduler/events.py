"""Facts: what the shell tells the scheduler. Each carries its own time; the scheduler has no clock.

`at` is seconds on any monotonic clock; events must be handed over in the order in which they happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tropa.scheduler.demand import NO_WISH, Demand, Want
from tropa.scheduler.machine import Device, Usage


@dataclass(frozen=True, slots=True)
class Asked:
    """A request wants a slot of a model. It ends with exactly one of Grant, Refuse, or our Cancelled.

    `request` is a number never used before. `client` is who must share fairly: an API key, else an address.
    """

    at: float
    request: int
    client: str
    name: str
    demand: Demand
    want: Want = NO_WISH


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The client of a *waiting* request left. A granted one is not cancelled but Released, once its slot is
    free; for a granted or unknown request this event changes nothing (a Grant may have crossed it)."""

    at: float
    request: int


@dataclass(frozen=True, slots=True)
class Released:
    """A granted request is over and its slot free, however it ended: answer, error, client or runner gone."""

    at: float
    request: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """A runner is ready.

    `used` is what it holds per device, `mapped` those CPU bytes that are file-backed (see Usage). `context`
    is the effective context *per slot* and `slots` the real number, as the engine reports them.
    An empty `used` means "not measured": the promise then stands.
    """

    at: float
    runner: int
    context: int
    slots: int
    used: Mapping[str, int]
    mapped: int = 0


@dataclass(frozen=True, slots=True)
class LoadFailed:
    """A load ended without a ready runner. The memory counts as taken until Gone follows."""

    at: float
    runner: int
    reason: str
    out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class Died:
    """A ready runner's process ended or hung without our asking. Its granted requests are told by the shell,
    which then sends Released for each; Gone follows when the process is really gone."""

    at: float
    runner: int
    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The process has ended and been reaped, and its memory is back (on a discrete GPU: as far as the driver
    shows within a few seconds). Follows every Unload, LoadFailed and Died, once per runner."""

    at: float
    runner: int


@dataclass(frozen=True, slots=True)
class DevicesSeen:
    """The machine's memory, measured at `at`; `usage` is what our runners held at that same moment, as far as
    it could be measured (loading ones too). The first one must come before anything can be loaded."""

    at: float
    devices: tuple[Device, ...]
    usage: tuple[Usage, ...] = ()


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Someone asked to unload this key (keep_alive 0 with an empty prompt, `tropa stop`). It goes when idle:
    those waiting for it are still served."""

    at: float
    key: str


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Change how long a key stays loaded without asking for a slot (seconds, inf for ever)."""

    at: float
    key: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed: the alarm of the last WakeAt rang. A tick too early or too many is harmless."""

    at: float


@dataclass(frozen=True, slots=True)
class Shutdown:
    """The server stops: refuse everything waiting, unload everything, accept nothing more."""

    at: float


Event = (
    Asked
    | Cancelled
    | Released
    | Loaded
    | LoadFailed
    | Died
    | Gone
    | DevicesSeen
    | Unwanted
    | KeepAlive
    | Tick
    | Shutdown
)
