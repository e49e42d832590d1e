"""A memory that models can live in, as the system reports it."""

from __future__ import annotations

from dataclasses import dataclass

CPU = "cpu"


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """One device. `free` is what anybody could still take, in bytes; on the CPU that includes reclaimable cache.

    `id` is `cpu`, or the library and a number: the one that the library gives the device once the user's variables
    (`CUDA_VISIBLE_DEVICES` and its kin) have been applied. `handle` is the device's name in such a variable,
    whatever the user set. An `integrated` GPU takes its memory from the CPU's.
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
