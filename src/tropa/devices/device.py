"""A memory that models can live in, as the system reports it."""

from __future__ import annotations

from dataclasses import dataclass

CPU = "cpu"


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """One device. `free` is what anybody could still take, in bytes; on the CPU that includes reclaimable cache.

    `index` is the number under which the engine's library knows the device once `visible` variables have been
    applied (`CUDA_VISIBLE_DEVICES`, ...); `handle` is what such a variable is set to for this device alone.
    """

    id: str
    total: int
    free: int
    library: str = ""
    name: str = ""
    integrated: bool = False
    handle: str = ""

    @property
    def is_gpu(self) -> bool:
        return self.id != CPU
