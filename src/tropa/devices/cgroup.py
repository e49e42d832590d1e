"""What Linux control groups allow: memory and processor time, version 1 and 2, all parents counted.

The path of a process leads down from the root through groups that each may have a limit; the tightest one holds, with
what is used under it. Inside a container a part of that path may lie outside of what is mounted: then the mount
itself is the highest group that can be seen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

NO_LIMIT_V1 = 1 << 60  # version 1 writes a number near 2^63, rounded to pages, for "no limit"

# Page cache that the kernel gives up when somebody needs the memory. A mapped model counts here as well: without
# this, nothing would seem free after one, and the kernel's own MemAvailable counts the same way. Memory of tmpfs
# (`shmem`) and of processes is in neither.
_CACHE_V2 = ("inactive_file", "active_file", "slab_reclaimable")
_CACHE_V1 = ("total_inactive_file", "total_active_file")


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """`limit` bytes, of which `used` can't be taken back (page cache that can is not counted)."""

    limit: int
    used: int


@dataclass(frozen=True, slots=True)
class _Mount:
    """A mounted hierarchy: `root` is the group that is seen at `point`."""

    root: str
    point: Path


def memory_limits(root: Path = Path("/")) -> list[MemoryLimit]:
    """The limits that hold for this process, one for each group that has one."""
    found: list[MemoryLimit] = []
    for folder in _folders(root, "memory"):
        statistics = _statistics(folder / "memory.stat")
        if v2 := (folder / "memory.current").exists():
            used = _number(folder / "memory.current")
            # Above `high` the kernel slows every process of the group down until it gives memory back.
            limits = [_number(folder / "memory.max"), _number(folder / "memory.high")]
        else:
            used = _number(folder / "memory.usage_in_bytes")
            limits = [_number(folder / "memory.limit_in_bytes"), statistics.get("hierarchical_memory_limit")]
        known = [limit for limit in limits if limit is not None and limit < NO_LIMIT_V1]
        if known and used is not None:
            reclaimable = sum(statistics.get(name, 0) for name in (_CACHE_V2 if v2 else _CACHE_V1))
            found.append(MemoryLimit(min(known), max(0, used - reclaimable)))
    return found


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Processors' worth of time that this process may use; None without a limit."""
    quotas: list[float] = []
    for folder in _folders(root, "cpu"):
        words = _words(folder / "cpu.max")
        if len(words) == 2:
            quota, period = _whole(words[0]), _whole(words[1])
        else:
            quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
        if quota and period:
            quotas.append(quota / period)
    return min(quotas, default=None)


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """The group of this process and its parents, under version 2 and under version 1's mount of `controller`."""
    mounts = _mounts(root, controller)
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            mount = mounts.get("cgroup2")
        elif controller in controllers.split(","):
            mount = mounts.get("cgroup")
        else:
            continue
        if mount is None:
            continue
        folder = mount.point / _below(path, mount.root)
        yield folder
        while folder != mount.point:
            folder = folder.parent
            yield folder


def _below(path: str, root: str) -> PurePosixPath:
    """Where the group `path` lies under a mount that shows `root`; the mount itself if it is not there to be seen."""
    group = PurePosixPath(path)
    if ".." in group.parts or not group.is_relative_to(root):
        return PurePosixPath()
    return group.relative_to(root)


def _mounts(root: Path, controller: str) -> dict[str, _Mount]:
    """The mount of version 2 (`cgroup2`) and that of `controller` in version 1 (`cgroup`), as far as there are."""
    found: dict[str, _Mount] = {}
    for line in _lines(root / "proc/self/mountinfo"):
        place, _, kind = line.partition(" - ")
        where, what = place.split(" "), kind.split(" ")
        if len(where) < 5 or len(what) < 3:
            continue
        if what[0] == "cgroup2" or (what[0] == "cgroup" and controller in what[2].split(",")):
            mount = _Mount(_unescaped(where[3]), root / _unescaped(where[4]).lstrip("/"))
            found.setdefault(what[0], mount)
    return found


def _unescaped(text: str) -> str:
    """The kernel writes blanks in paths as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _number(path: Path) -> int | None:
    """A file's number; None for `max`, -1, and for what is no number or not there."""
    words = _words(path)
    return _whole(words[0]) if words else None


def _whole(word: str) -> int | None:
    return int(word) if word.isascii() and word.isdigit() else None


def _statistics(path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in _lines(path):
        name, _, value = line.partition(" ")
        if (number := _whole(value)) is not None:
            found[name] = number
    return found
