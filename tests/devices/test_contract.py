"""What holds for every inventory: the simulated ones, and this machine's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.devices.conftest import Install
from tests.devices.fakenvml import NOT_SUPPORTED, Gpu, nvml
from tests.devices.test_amd import MACHINE, gpu
from tests.devices.trees import GIB, MIB, Files, meminfo, tree, v1, v2
from tropa.devices import inventory, visible
from tropa.devices.budget import parse_budget
from tropa.devices.device import CPU, DeviceMemory

Look = Callable[[], list[DeviceMemory]]
LAPTOP = meminfo(MemTotal=16 << 20, MemFree=2 << 20, MemAvailable=10 << 20)
NVIDIA = [Gpu("GPU-aaaa", 80 * GIB, 90 * GIB), Gpu("GPU-bbbb", 24 * GIB, 3)]
TIGHT: Files = {
    "memory.max": 0,
    "memory.current": MIB,
    "memory.stat": "inactive_file 99999999",
}
DOCKER: Files = {
    "memory.limit_in_bytes": GIB,
    "memory.usage_in_bytes": 2 * GIB,
    "memory.stat": "",
}

MACHINES: dict[str, tuple[Files, list[Gpu], dict[str, str]]] = {
    "a laptop": (LAPTOP, [], {}),
    "a container": ({**LAPTOP, **v1("/docker/x", {"/": DOCKER}, mounted="/docker/x")}, [], {}),
    "no memory at all": ({**LAPTOP, **v2("/", {"/": TIGHT})}, [], {}),
    "two NVIDIA": (LAPTOP, NVIDIA, {}),
    "two NVIDIA, one allowed": (LAPTOP, NVIDIA, {"CUDA_VISIBLE_DEVICES": "1"}),
    "NVIDIA without memory of its own": (
        LAPTOP,
        [Gpu("GPU-i", fails={"nvmlDeviceGetMemoryInfo": NOT_SUPPORTED})],
        {},
    ),
    "three AMD": ({**LAPTOP, **MACHINE}, [], {}),
    "AMD, integrated": ({**LAPTOP, **gpu(1, 128, vram=512 * MIB, gtt=8 * GIB)}, [], {}),
    "both makers": ({**LAPTOP, **MACHINE}, NVIDIA, {"ROCR_VISIBLE_DEVICES": "0"}),
}


@pytest.fixture(params=[*MACHINES, "this machine"])
def look(request: pytest.FixtureRequest, tmp_path: Path, install: Install) -> Look:
    if request.param == "this machine":
        return inventory.devices
    files, gpus, environ = MACHINES[request.param]
    root = tree(tmp_path, files)
    install(nvml(gpus))
    return lambda: inventory.devices(environ, root)


def test_the_cpu_comes_first_and_once(look: Look) -> None:
    first, *others = look()
    assert first.id == CPU
    assert not first.is_gpu
    assert not first.integrated
    assert all(each.is_gpu and each.library for each in others)


def test_ids_are_unique_and_say_the_library(look: Look) -> None:
    found = look()
    assert len({each.id for each in found}) == len(found)
    for each in found[1:]:
        library, _, number = each.id.partition(":")
        assert library == each.library
        assert number.isdigit()


def test_free_lies_between_nothing_and_all(look: Look) -> None:
    assert all(0 <= each.free <= each.total for each in look())


def test_ids_and_sizes_stay_the_same(look: Look) -> None:
    one, other = look(), look()
    assert [(each.id, each.total, each.handle) for each in one] == [
        (each.id, each.total, each.handle) for each in other
    ]


def test_every_device_can_be_named_in_a_budget(look: Look) -> None:
    found = look()
    limits = parse_budget(",".join(["50%", *(f"{each.id}=50%" for each in found)])).resolve(found)
    assert dict(limits.per_device) == {each.id: each.total // 2 for each in found}
    own = sum(each.total for each in found if not each.integrated)
    assert limits.total == own // 2


def test_each_gpu_can_be_shown_alone(look: Look) -> None:
    found = look()
    for each in found[1:]:
        if each.handle:
            shown = visible.showing([each], found)
            assert each.handle in shown.values()
    assert all(value == "" for value in visible.showing([], found).values())


def test_a_process_holds_no_more_than_there_is(look: Look) -> None:
    totals = {each.id: each.total for each in look()}
    for device, size in inventory.used_by(os.getpid()).items():
        assert 0 < size <= totals[device]
