"""What a process holds of the machine's memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KIB = 1024


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Bytes. `mapped` are those backed by a file (mapped weights): held while they are used, yet the system
    counts them as free, since it can read them again."""

    total: int
    mapped: int


def memory(pid: int, root: Path = Path("/")) -> ProcessMemory:
    """What is resident for a process. Zero if it has just ended.

    Not the proportional share (PSS), although that divides shared libraries fairly: it falls when a second engine
    starts, and a figure that depends on the neighbours can't be remembered for the next load.
    """
    try:
        lines = (root / f"proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return _asked_psutil(pid)
    kept: dict[str, int] = {}
    for line in lines[1:]:
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            kept[name] = int(words[0]) * KIB
    total = kept.get("Rss", 0)
    shared = kept.get("Pss_Shmem", 0)
    return ProcessMemory(total, max(0, total - kept.get("Anonymous", total) - shared))


def _asked_psutil(pid: int) -> ProcessMemory:
    """Resident memory, where the kernel has no better figure, or does not show it to us."""
    import psutil

    try:
        known = psutil.Process(pid).memory_info()
    except psutil.Error:
        return ProcessMemory(0, 0)
    return ProcessMemory(int(known.rss), min(int(known.rss), int(getattr(known, "shared", 0))))
