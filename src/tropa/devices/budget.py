"""`TROPA_MEMORY_LIMIT`: what the user gives to models. Parsed without a machine, resolved with one.

6GiB                    all devices together
50%                     the same, of all memory there is
cpu=8GiB,cuda:0=50%     each device by itself; others are not limited
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tropa.errors import TropaError

_FORM = "expected a size like 6GiB or 500MB, a share like 50%, or both per device like cpu=8GiB,cuda:0=50%"
_UNITS = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "k": 1 << 10,
    "m": 1 << 20,
    "g": 1 << 30,
    "t": 1 << 40,
    "ki": 1 << 10,
    "mi": 1 << 20,
    "gi": 1 << 30,
    "ti": 1 << 40,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
LEAST, MOST = 1 << 20, 1 << 60
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", re.ASCII)
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%", re.ASCII)
_DEVICE = re.compile(r"cpu|(cuda|rocm|vulkan|metal):\d+", re.ASCII)


class BadBudget(TropaError, ValueError):
    """The limit is not written as it should be, or names a device that is not there."""

    code = "bad-budget"


class Sized(Protocol):
    """Any device that has a name and a size; `integrated` ones share the CPU's."""

    @property
    def id(self) -> str: ...
    @property
    def total(self) -> int: ...
    @property
    def integrated(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Amount:
    """Bytes, or a share of what there is (0 to 1)."""

    bytes: int = 0
    share: float | None = None

    def of(self, total: int) -> int:
        return self.bytes if self.share is None else int(total * self.share)


@dataclass(frozen=True, slots=True)
class Limits:
    """The budget in bytes on one machine; None: no limit on the whole."""

    total: int | None
    per_device: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """What was asked for."""

    whole: Amount | None = None
    per_device: tuple[tuple[str, Amount], ...] = ()

    def resolve(self, devices: Sequence[Sized]) -> Limits:
        """In bytes. Raises BadBudget for a device that this machine has not."""
        sizes = {device.id: device.total for device in devices}
        for device, _ in self.per_device:
            if device not in sizes:
                raise BadBudget(
                    f"TROPA_MEMORY_LIMIT names the device {device}; this machine has {', '.join(sizes)}"
                )
        all_there_is = sum(device.total for device in devices if not device.integrated)
        return Limits(
            self.whole.of(all_there_is) if self.whole else None,
            tuple((device, amount.of(sizes[device])) for device, amount in self.per_device),
        )


def parse_budget(text: str) -> Budget:
    """Raises BadBudget naming what is wrong and what is allowed."""
    whole: Amount | None = None
    per_device: dict[str, Amount] = {}
    for entry in (part.strip() for part in text.split(",")):
        device, equals, amount = entry.rpartition("=")
        device = device.strip().lower()
        if equals and not _DEVICE.fullmatch(device):
            raise BadBudget(f"{device!r} is no device; {_FORM}")
        if device in per_device or (not equals and whole is not None):
            raise BadBudget(f"{entry!r} says a second time what was said before; {_FORM}")
        if equals:
            per_device[device] = _amount(amount.strip())
        else:
            whole = _amount(amount.strip())
    return Budget(whole, tuple(per_device.items()))


def _amount(text: str) -> Amount:
    if match := _SHARE.fullmatch(text):
        share = float(match[1]) / 100
        if not 0 < share <= 1:
            raise BadBudget(f"{text!r} is not more than 0% and at most 100%; {_FORM}")
        return Amount(share=share)
    match = _SIZE.fullmatch(text)
    if match is None or match[2].lower() not in _UNITS:
        raise BadBudget(f"{text!r} is no amount of memory; {_FORM}")
    size = float(match[1]) * _UNITS[match[2].lower()]  # infinite, if there are enough digits
    if not LEAST <= size < MOST:
        raise BadBudget(f"{text!r} is {size:.0f} bytes, which no model could use or no machine has; {_FORM}")
    return Amount(int(size))
