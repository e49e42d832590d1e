"""Apple's chips: one memory for CPU and GPU, of which Metal lets a program use a part."""

from __future__ import annotations

import platform

from tropa.devices.device import DeviceMemory

METAL_SHARE = 0.75  # of the whole, on machines with more than 36 GB; two thirds below
LARGE = 36_000_000_000


def memory(host: DeviceMemory) -> list[DeviceMemory]:
    """The GPU, `metal:0`, in the host's memory; none on other machines."""
    if platform.system() != "Darwin" or platform.machine() != "arm64":
        return []
    share = METAL_SHARE if host.total > LARGE else 2 / 3
    total = int(host.total * share)
    return [DeviceMemory("metal:0", total, min(total, host.free), "metal", "Apple GPU", integrated=True)]
