"""Whose memory is whose: what the machine can give, what is promised to our runners, what is left.

Two numbers meet here that count different things. The OS's `free` already excludes what our runners use, but
not what we promised and they have not taken yet; and while a runner loads or leaves nobody knows how much of
its share `free` excludes. So we keep, per device, what *others* use (`foreign`), derived from each
measurement as far as it is certain; everything else is arithmetic on our own promises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tropa.scheduler.events import DevicesSeen
from tropa.scheduler.machine import CPU, Device, Kind
from tropa.scheduler.policy import Policy

ALL = "*"
"""The entry of a Room that stands for all devices together (TROPA_MEMORY_LIMIT without a device)."""
UNLIMITED = 1 << 62

Room = dict[str, int]
"""Bytes per device id, and under ALL for the whole."""


@dataclass(slots=True)
class Share:
    """What one runner holds: the charge counts against us, `used` is what the OS has seen so far."""

    charge: Room
    promised: Mapping[str, int]
    used: Mapping[str, int] | None = None
    """None while it is loading or leaving: somewhere between nothing and all of it."""
    mapped: int = 0
    settled_at: float = 0.0


@dataclass(slots=True)
class Ledger:
    """The one keeper of bytes. `seen` is False until the first measurement."""

    policy: Policy
    devices: dict[str, Device] = field(default_factory=dict)
    gpus: tuple[Device, ...] = ()
    capacity: Room = field(default_factory=dict)
    """What all our runners together may hold, given what others use now."""
    limits: Room = field(default_factory=dict)
    """The same on a machine that nobody else uses: above this, waiting can't help."""
    version: int = 0
    """Changes with `capacity`."""
    seen: bool = False
    _foreign: dict[str, int] = field(default_factory=dict)
    _shares: dict[int, Share] = field(default_factory=dict)
    _taken: Room = field(default_factory=dict)

    def charge(self, promised: Mapping[str, int]) -> Room:
        """How a promise counts: per device, on the CPU too for an integrated GPU, and on the whole."""
        charge: Room = {ALL: 0}
        for device, size in promised.items():
            charge[ALL] += size
            charge[device] = charge.get(device, 0) + size
            known = self.devices.get(device)
            if known is not None and known.integrated:
                charge[CPU] = charge.get(CPU, 0) + size
        return charge

    def promise(self, runner: int, promised: Mapping[str, int]) -> None:
        """A load begins."""
        self._put(runner, Share(self.charge(promised), promised))

    def settle(
        self, runner: int, used: Mapping[str, int], mapped: int, growth: Mapping[str, int], at: float
    ) -> None:
        """A load ended well. `growth` is what the runner may still take and has been promised."""
        share = self._shares[runner]
        if not used:
            used = {d: max(0, size - growth.get(d, 0)) for d, size in share.promised.items()}
        held = {d: used.get(d, 0) + growth.get(d, 0) for d in {**used, **growth}}
        self._put(runner, Share(self.charge(held), share.promised, used, mapped, at))

    def leaving(self, runner: int) -> None:
        """The process is ending: its memory counts until it is gone, but no measurement is certain of it."""
        self._shares[runner].used = None

    def release(self, runner: int) -> None:
        """The process is gone."""
        for device, size in self._shares.pop(runner).charge.items():
            self._taken[device] -= size

    def held(self, runner: int) -> Room:
        """The runner's charge."""
        return self._shares[runner].charge

    def taken(self, device: str) -> int:
        """What all our runners hold there."""
        return self._taken.get(device, 0)

    def foreign(self, device: str) -> int:
        """What others use there, as far as known."""
        return self._foreign.get(device, 0)

    def free(self, without: Iterable[int] = ()) -> Room:
        """What is left to promise; with `without`, once these runners will have gone."""
        taken = self._taken
        room = {device: size - taken.get(device, 0) for device, size in self.capacity.items()}
        for runner in without:
            add(room, self._shares[runner].charge)
        return room

    def see(self, event: DevicesSeen) -> None:
        """Take in a measurement."""
        self.seen = True
        self.devices = {device.id: device for device in event.devices}
        self.gpus = tuple(device for device in event.devices if device.kind is Kind.GPU)
        for usage in event.usage:
            self._observe(usage.runner, usage.bytes, usage.mapped)
        observed = {usage.runner: usage for usage in event.usage}
        known = dict.fromkeys(self.devices, 0)
        unsure = dict.fromkeys(self.devices, 0)
        for runner, share in self._shares.items():
            if runner in observed:
                add(known, self._seen_by_os(observed[runner].bytes, observed[runner].mapped))
            elif share.used is not None and share.settled_at < event.at:
                add(known, self._seen_by_os(share.used, share.mapped))
            else:
                add(unsure, self.charge(share.promised))
        foreign: dict[str, int] = {}
        for device in event.devices:
            most = device.total - device.free - known[device.id]
            least = most - unsure[device.id]
            # While a runner of ours comes or goes the truth lies between; what we believed before is the
            # best guess within that.
            believed = self._foreign.get(device.id, most)
            foreign[device.id] = max(0, min(most, max(least, believed)))
        self._foreign = foreign
        self._reckon()

    def _observe(self, runner: int, used: Mapping[str, int], mapped: int) -> None:
        share = self._shares.get(runner)
        if share is None or share.used is None:
            return
        share.used, share.mapped = used, mapped
        for device, size in self.charge(used).items():  # it took more than it said: count what is so
            more = size - share.charge.get(device, 0)
            if more > 0:
                share.charge[device] = size
                self._taken[device] = self._taken.get(device, 0) + more

    def _seen_by_os(self, used: Mapping[str, int], mapped: int) -> Room:
        seen = self.charge(used)
        seen[CPU] = max(0, seen.get(CPU, 0) - mapped)
        return {device: size for device, size in seen.items() if device in self.devices}

    def _reckon(self) -> None:
        limits = dict(self.policy.device_limits)
        most: Room = {}
        for device in self.devices.values():
            overhead = self.policy.gpu_overhead if device.kind is Kind.GPU else 0
            most[device.id] = max(0, min(device.total - overhead, limits.get(device.id, UNLIMITED)))
        most[ALL] = UNLIMITED if self.policy.memory_limit is None else self.policy.memory_limit
        capacity = dict(most)
        for device in self.devices.values():
            overhead = self.policy.gpu_overhead if device.kind is Kind.GPU else 0
            left = device.total - overhead - self._foreign[device.id]
            capacity[device.id] = max(0, min(most[device.id], left))
        if capacity != self.capacity or most != self.limits:
            self.capacity, self.limits = capacity, most
            self.version += 1

    def _put(self, runner: int, share: Share) -> None:
        if (old := self._shares.get(runner)) is not None:
            for device, size in old.charge.items():
                self._taken[device] -= size
        self._shares[runner] = share
        add(self._taken, share.charge)


def add(room: Room, more: Mapping[str, int]) -> None:
    """room += more"""
    for device, size in more.items():
        room[device] = room.get(device, 0) + size


def take(room: Room, less: Mapping[str, int]) -> None:
    """room -= less"""
    for device, size in less.items():
        room[device] = room.get(device, 0) - size


def lesser(one: Room, other: Room) -> Room:
    """What both can give."""
    return {device: min(size, other.get(device, 0)) for device, size in one.items()}


def holds(room: Room, charge: Mapping[str, int]) -> bool:
    """Whether the charge fits."""
    return all(room.get(device, 0) >= size for device, size in charge.items())
