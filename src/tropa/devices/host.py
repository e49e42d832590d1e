"""The CPU's memory and cores."""

from __future__ import annotations

import math
import os
from pathlib import Path

from tropa.devices import cgroup
from tropa.devices.device import CPU, DeviceMemory

KIB = 1024


def memory(root: Path = Path("/")) -> DeviceMemory:
    """Total and free, page cache counted as free, within what control groups allow. Swap is not counted: a model
    that lives there answers nobody."""
    known = meminfo(root)
    if known is None:
        total, free = _asked_psutil()
    else:
        total, free = known["MemTotal"], known.get("MemAvailable", _guessed_available(known))
    for limit in cgroup.memory_limits(root):
        total = min(total, limit.limit)
        free = min(free, max(0, limit.limit - limit.used))
    return DeviceMemory(CPU, total, max(0, min(free, total)))


def meminfo(root: Path) -> dict[str, int] | None:
    """`/proc/meminfo` in bytes; None where there is none."""
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found: dict[str, int] = {}
    for line in lines:
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isascii() and words[0].isdigit():
            found[name] = int(words[0]) * (KIB if words[1:] == ["kB"] else 1)
    return found if "MemTotal" in found else None


def cores(root: Path = Path("/")) -> int:
    """Cores that this process may keep busy: by affinity and by quota; at least one."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cgroup.cpu_quota(root)
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def _guessed_available(known: dict[str, int]) -> int:
    """For kernels before 3.14, and some containers: the memory of tmpfs is in `Cached`, yet nobody can have it."""
    cached = max(0, known.get("Cached", 0) - known.get("Shmem", 0))
    return known.get("MemFree", 0) + known.get("Buffers", 0) + cached + known.get("SReclaimable", 0)


def _asked_psutil() -> tuple[int, int]:
    import psutil

    known = psutil.virtual_memory()
    return int(known.total), int(known.available)
