"""What the scheduler knows of the machine: devices, each with its memory. Nothing here looks at hardware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

CPU = "cpu"
"""The id of the one CPU device. Every machine has it: the host part of every model lives there."""


class Kind(StrEnum):
    """What sort of memory a device has."""

    CPU = "cpu"
    GPU = "gpu"


@dataclass(frozen=True, slots=True)
class Device:
    """One memory that models can live in, as the operating system or driver reported it just now.

    `free` is what anybody could still take, so it already excludes what our own running models use. On the
    CPU it counts page cache as free (MemAvailable, less what a cgroup allows). GPUs of different `library`
    ("cuda", "rocm", "vulkan", "metal") can't share one model. An `integrated` GPU takes its memory from the
    CPU's: bytes placed there count on both.
    """

    id: str
    kind: Kind
    total: int
    free: int
    library: str = ""
    integrated: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one runner of ours was using when the devices were measured.

    `mapped` are those of its CPU bytes that are file-backed (mmapped weights): the OS still counts them as
    free, so they must not be subtracted from what others seem to use.
    """

    runner: int
    bytes: Mapping[str, int]
    mapped: int = 0
