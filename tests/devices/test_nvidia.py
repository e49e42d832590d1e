"""NVIDIA's GPUs, through a stand-in for NVML that fails as the real one does."""

from __future__ import annotations

import logging

import pytest

from tests.devices.conftest import Install
from tests.devices.fakenvml import DRIVER_NOT_LOADED, GPU_IS_LOST, NOT_SUPPORTED, Gpu, Process, nvml
from tests.devices.trees import GIB, MIB
from tropa.devices import nvidia
from tropa.devices.device import DeviceMemory

HOST = DeviceMemory("cpu", 64 * GIB, 40 * GIB)
A = Gpu("GPU-aaaa", 80 * GIB, 10 * GIB)
B = Gpu("GPU-bbbb", 24 * GIB, 0, "NVIDIA GeForce RTX 4090")


def test_two_gpus(install: Install) -> None:
    install(nvml([A, B]))
    assert nvidia.memory({}, HOST) == [
        DeviceMemory("cuda:0", 80 * GIB, 70 * GIB, "cuda", "NVIDIA H100 80GB HBM3", handle="GPU-aaaa"),
        DeviceMemory("cuda:1", 24 * GIB, 24 * GIB, "cuda", "NVIDIA GeForce RTX 4090", handle="GPU-bbbb"),
    ]


def test_the_users_choice_numbers_anew_and_keeps_the_names(install: Install) -> None:
    install(nvml([A, B]))
    found = nvidia.memory({"CUDA_VISIBLE_DEVICES": "1"}, HOST)
    assert [(each.id, each.handle) for each in found] == [("cuda:0", "GPU-bbbb")]
    assert nvidia.memory({"CUDA_VISIBLE_DEVICES": ""}, HOST) == []


@pytest.mark.parametrize(
    "module", [None, nvml([], init=DRIVER_NOT_LOADED), nvml([], count=GPU_IS_LOST), nvml([])]
)
def test_no_package_no_driver_no_answer_no_gpu(install: Install, module: object) -> None:
    install(module)  # type: ignore[arg-type] # a module or None: pytest.mark.parametrize has no types
    assert nvidia.memory({}, HOST) == []
    assert nvidia.used_by(1, {}) == {}


@pytest.mark.parametrize(
    "function",
    ["nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID", "nvmlDeviceGetMemoryInfo", "nvmlDeviceGetName"],
)
def test_a_gpu_that_fell_off_the_bus_costs_the_others_nothing(
    install: Install, caplog: pytest.LogCaptureFixture, function: str
) -> None:
    lost = Gpu(f"GPU-lost-{function}", GIB, fails={function: GPU_IS_LOST})
    install(nvml([A, lost, B]))
    caplog.set_level(logging.WARNING, "tropa.devices")
    for _ in range(3):
        found = nvidia.memory({}, HOST)
    assert [(each.id, each.handle) for each in found] == [("cuda:0", "GPU-aaaa"), ("cuda:2", "GPU-bbbb")]
    assert len([record for record in caplog.records if "GPU is lost" in record.getMessage()]) <= 1, (
        "said once"
    )
    assert nvidia.used_by(1, {}) == {}


def test_a_chip_that_shares_the_cpus_memory(install: Install) -> None:
    install(nvml([Gpu("GPU-gb10", name="NVIDIA GB10", fails={"nvmlDeviceGetMemoryInfo": NOT_SUPPORTED})]))
    assert nvidia.memory({}, HOST) == [
        DeviceMemory("cuda:0", 64 * GIB, 40 * GIB, "cuda", "NVIDIA GB10", integrated=True, handle="GPU-gb10")
    ]


def test_most_gpus_know_nothing_of_parts(install: Install) -> None:
    install(nvml([Gpu("GPU-old", GIB, fails={"nvmlDeviceGetMigMode": NOT_SUPPORTED})]))
    assert [each.handle for each in nvidia.memory({}, HOST)] == ["GPU-old"]


def test_of_a_divided_gpu_one_part_can_be_used(install: Install) -> None:
    divided = Gpu("GPU-whole", 80 * GIB, parts=[Gpu("MIG-1", 10 * GIB, GIB), Gpu("MIG-2", 20 * GIB)])
    install(nvml([divided, B]))
    assert [(each.handle, each.free) for each in nvidia.memory({}, HOST)] == [("MIG-1", 9 * GIB)]
    found = nvidia.memory({"CUDA_VISIBLE_DEVICES": "MIG-2"}, HOST)
    assert [(each.id, each.handle, each.total) for each in found] == [("cuda:0", "MIG-2", 20 * GIB)]
    install(nvml([Gpu("GPU-whole", 80 * GIB, parts=[]), B]))
    assert [each.handle for each in nvidia.memory({}, HOST)] == ["GPU-bbbb"]


def test_what_a_process_holds(install: Install) -> None:
    ours = (Process(7, 300 * MIB), Process(8, GIB), Process(7, 200 * MIB))
    silent = Gpu("GPU-silent", GIB, processes=(Process(7, None),))
    failing = Gpu("GPU-failing", GIB, fails={"nvmlDeviceGetComputeRunningProcesses": NOT_SUPPORTED})
    install(nvml([Gpu("GPU-busy", GIB, processes=ours), silent, failing]))
    assert nvidia.used_by(7, {}) == {"cuda:0": 500 * MIB}
    assert nvidia.used_by(8, {"CUDA_VISIBLE_DEVICES": "1,0"}) == {"cuda:1": GIB}
    assert nvidia.used_by(9, {}) == {}
