"""What a process holds: what is resident for it, and how much of that is mapped files."""

from __future__ import annotations

import mmap
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.devices.trees import KIB, MIB, tree
from tropa.devices import process
from tropa.devices.process import ProcessMemory

ROLLUP = """55d0c0a00000-7ffc1c1f9000 ---p 00000000 00:00 0                          [rollup]
Rss:              900000 kB
Pss:              700000 kB
Pss_Anon:         200000 kB
Pss_File:         499000 kB
Pss_Shmem:          1000 kB
Shared_Clean:     400000 kB
Anonymous:        200000 kB
Locked:                0 kB
"""


def test_shared_libraries_count_whole_whoever_else_uses_them(tmp_path: Path) -> None:
    """A share that falls when a second engine starts can't be remembered for the next load."""
    tree(tmp_path, {"proc/7/smaps_rollup": ROLLUP})
    assert process.memory(7, tmp_path) == ProcessMemory(900000 * KIB, 699000 * KIB)


def test_kernels_that_do_not_tell_shared_memory_apart(tmp_path: Path) -> None:
    """Before Linux 5.4 there is no Pss_Shmem."""
    old = "\n".join(line for line in ROLLUP.splitlines() if not line.startswith("Pss_"))
    tree(tmp_path, {"proc/7/smaps_rollup": old})
    assert process.memory(7, tmp_path) == ProcessMemory(900000 * KIB, 700000 * KIB)


@pytest.mark.parametrize("text", ["", "nonsense", "Pss: much kB"])
def test_no_figures_is_nothing(tmp_path: Path, text: str) -> None:
    tree(tmp_path, {"proc/7/smaps_rollup": text})
    assert process.memory(7, tmp_path) == ProcessMemory(0, 0)


def test_a_process_that_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert process.memory(child.pid) == ProcessMemory(0, 0)


def test_a_real_process_that_maps_a_file(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(bytes(range(256)) * (64 * MIB // 256))
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        before = process.memory(os.getpid())
        assert sum(mapped[:: mmap.PAGESIZE]) >= 0  # touch every page
        after = process.memory(os.getpid())
    assert 60 * MIB < after.mapped - before.mapped < 70 * MIB
    assert after.total - before.total >= 60 * MIB
    own = process.memory(os.getpid())
    assert own.mapped < after.mapped - 60 * MIB
