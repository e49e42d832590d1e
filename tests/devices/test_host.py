"""The CPU's memory: what the kernel reports, within what control groups allow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.devices.trees import GIB, KIB, MIB, Files, meminfo, tree, v1, v2
from tropa.devices import host
from tropa.devices.device import DeviceMemory

LAPTOP = meminfo(MemTotal=16 << 20, MemFree=2 << 20, MemAvailable=10 << 20, Buffers=1 << 10, Cached=9 << 20)


def test_available_is_what_is_free(tmp_path: Path) -> None:
    assert host.memory(tree(tmp_path, LAPTOP)) == DeviceMemory("cpu", 16 * GIB, 10 * GIB)


def test_old_kernels_say_less(tmp_path: Path) -> None:
    """Before Linux 3.14 there is no MemAvailable. Files of tmpfs are in `Cached`, and nobody can have them."""
    old = meminfo(MemTotal=8192, MemFree=1024, Buffers=512, Cached=4096, Shmem=2048, SReclaimable=256)
    assert host.memory(tree(tmp_path, old)).free == (1024 + 512 + 2048 + 256) * KIB


def test_a_container_has_less_than_the_machine(tmp_path: Path) -> None:
    group: Files = {"memory.max": 4 * GIB, "memory.current": GIB, "memory.stat": ""}
    tree(tmp_path, {**LAPTOP, **v2("/", {"/": group})})
    assert host.memory(tmp_path) == DeviceMemory("cpu", 4 * GIB, 3 * GIB)


def test_a_limit_above_the_machines_memory_changes_nothing(tmp_path: Path) -> None:
    group: Files = {
        "memory.limit_in_bytes": 64 * GIB,
        "memory.usage_in_bytes": GIB,
        "memory.stat": "",
    }
    tree(tmp_path, {**LAPTOP, **v1("/", {"/": group})})
    assert host.memory(tmp_path) == DeviceMemory("cpu", 16 * GIB, 10 * GIB)


def test_the_tightest_group_decides_total_and_free_each(tmp_path: Path) -> None:
    small: Files = {"memory.max": 4 * GIB, "memory.current": GIB, "memory.stat": ""}
    crowded: Files = {"memory.max": 8 * GIB, "memory.current": 7 * GIB, "memory.stat": ""}
    tree(tmp_path, {**LAPTOP, **v2("/all/mine", {"/all": crowded, "/all/mine": small})})
    assert host.memory(tmp_path) == DeviceMemory("cpu", 4 * GIB, GIB)


def test_a_group_over_its_limit_has_nothing_free(tmp_path: Path) -> None:
    group: Files = {"memory.max": 100 * MIB, "memory.current": 101 * MIB, "memory.stat": ""}
    tree(tmp_path, {**LAPTOP, **v2("/", {"/": group})})
    assert host.memory(tmp_path) == DeviceMemory("cpu", 100 * MIB, 0)


@pytest.mark.parametrize("text", ["", "MemTotal:\n", "MemTotal: many kB\n", "MemFree: 1 kB\n"])
def test_without_a_readable_meminfo_the_system_is_asked(tmp_path: Path, text: str) -> None:
    found = host.memory(tree(tmp_path, {"proc/meminfo": text}))
    assert 0 < found.free <= found.total


def test_cores_follow_the_quota(tmp_path: Path) -> None:
    allowed = len(os.sched_getaffinity(0))
    assert host.cores(tmp_path) == allowed
    for quota, cores in (("50000", 1), ("100000", 1), ("10000000", allowed), ("max", allowed)):
        tree(tmp_path, v2("/", {"/": {"cpu.max": f"{quota} 100000"}}))
        assert host.cores(tmp_path) == cores
