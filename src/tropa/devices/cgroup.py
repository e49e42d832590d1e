"""What Linux control groups allow: memory and processor time, version 1 and 2, all parents counted.

Inside a container the mount shows its own group as the root; outside, the path of a process leads down from the
root through groups that each may have a limit. The tightest one holds, with what is used under it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NO_LIMIT_V1 = 1 << 60  # version 1 writes a number near 2^63, rounded to pages, for "no limit"


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """`limit` bytes, of which `used` can't be taken back (page cache that can is not counted)."""

    limit: int
    used: int


def memory_limits(root: Path = Path("/")) -> list[MemoryLimit]:
    """The limits that hold for this process, one for each group that has one."""
    found: list[MemoryLimit] = []
    for folder in _folders(root, "memory"):
        v2 = (folder / "memory.max").exists()
        limit = _number(folder / ("memory.max" if v2 else "memory.limit_in_bytes"))
        used = _number(folder / ("memory.current" if v2 else "memory.usage_in_bytes"))
        if limit is None or used is None or limit >= NO_LIMIT_V1:
            continue
        # In the group's usage the page cache counts as well: after one mapped model nothing would seem free.
        cache = _statistic(folder / "memory.stat", "inactive_file" if v2 else "total_inactive_file")
        found.append(MemoryLimit(limit, max(0, used - cache)))
    return found


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Processors' worth of time that this process may use; None without a limit."""
    quotas: list[float] = []
    for folder in _folders(root, "cpu"):
        if (words := _words(folder / "cpu.max")) and len(words) == 2 and words[0].isdigit() and int(words[1]):
            quotas.append(int(words[0]) / int(words[1]))
        quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota and period and quota > 0:
            quotas.append(quota / period)
    return min(quotas, default=None)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The group of this process and its parents, under version 2 and under version 1's folder of `controller`."""
    mount = root / "sys/fs/cgroup"
    seen: set[Path] = set()
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            base = mount if (mount / "cgroup.controllers").exists() else mount / "unified"
        elif controller in controllers.split(","):
            base = mount / controller if (mount / controller).is_dir() else mount / controllers
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for depth in range(len(parts), -1, -1):  # in a container the path may lead outside the mount
            folder = base.joinpath(*parts[:depth])
            if folder not in seen and folder.is_dir():
                seen.add(folder)
                yield folder


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _number(path: Path) -> int | None:
    words = _words(path)
    try:
        return int(words[0]) if words else None
    except ValueError:  # "max": no limit
        return None


def _statistic(path: Path, name: str) -> int:
    for line in _lines(path):
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return 0
