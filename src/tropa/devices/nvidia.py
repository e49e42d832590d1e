"""NVIDIA GPUs, through NVML. Without its Python package or its driver there are none."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tropa.devices.device import DeviceMemory
from tropa.devices.visible import cuda

log = logging.getLogger("tropa.devices")


@dataclass(frozen=True, slots=True)
class _Gpu:
    """`handle` is NVML's; None for a GPU that has gone silent, which keeps its number. A `part` is one of those
    that a GPU was divided into (MIG)."""

    uuid: str
    handle: Any = field(compare=False)
    part: bool = False


def memory(environ: Mapping[str, str], host: DeviceMemory) -> list[DeviceMemory]:
    """The GPUs that the user lets us use, `cuda:0` first. `host` is the memory of those that have none of their own."""
    nvml = library()
    if nvml is None:
        return []
    found: list[DeviceMemory] = []
    for index, gpu in enumerate(_visible(nvml, environ)):
        if gpu.handle is None:
            continue
        try:
            total, free, integrated = _sizes(nvml, gpu, host)
            name = _text(nvml.nvmlDeviceGetName(gpu.handle))
        except nvml.NVMLError as exc:
            _complain(f"the GPU {gpu.uuid} does not answer: {exc}")
            continue
        found.append(DeviceMemory(f"cuda:{index}", total, free, "cuda", name, integrated, handle=gpu.uuid))
    return found


def used_by(pid: int, environ: Mapping[str, str]) -> dict[str, int]:
    """Bytes that a process holds per device; empty where the driver does not say (in containers it often won't)."""
    nvml = library()
    if nvml is None:
        return {}
    used: dict[str, int] = {}
    for index, gpu in enumerate(_visible(nvml, environ)):
        if gpu.handle is None:
            continue
        try:
            processes = nvml.nvmlDeviceGetComputeRunningProcesses(gpu.handle)
        except nvml.NVMLError:
            continue
        sizes = [each.usedGpuMemory for each in processes if each.pid == pid and each.usedGpuMemory]
        if sizes:
            used[f"cuda:{index}"] = int(sum(sizes))
    return used


@cache
def library() -> Any:
    """NVML, initialised once; None if there is none. The seam where tests put their own."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as exc:
        log.debug("NVML cannot be used: %s", exc)  # no driver, in nearly all cases
        return None
    return pynvml


def _visible(nvml: Any, environ: Mapping[str, str]) -> list[_Gpu]:
    chosen = cuda(_gpus(nvml), environ)
    return [gpu for gpu in chosen if gpu.part][:1] or chosen  # CUDA shows a process one part at the most


def _gpus(nvml: Any) -> list[_Gpu]:
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as exc:
        _complain(f"NVML does not answer: {exc}")
        return []
    found: list[_Gpu] = []
    for number in range(count):
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(number)
            whole = _Gpu(_text(nvml.nvmlDeviceGetUUID(handle)), handle)
        except nvml.NVMLError as exc:
            _complain(f"GPU {number} does not answer: {exc}")
            found.append(_Gpu("", None))
            continue
        parts = _parts(nvml, handle)
        found.extend([whole] if parts is None else parts)
    return found


def _parts(nvml: Any, handle: Any) -> list[_Gpu] | None:
    """What a GPU was divided into; None if it was not. (Written from NVIDIA's documentation, tried on none.)"""
    try:
        if nvml.nvmlDeviceGetMigMode(handle)[0] != nvml.NVML_DEVICE_MIG_ENABLE:
            return None
        most = nvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except nvml.NVMLError:
        return None  # most kinds can't be divided
    parts: list[_Gpu] = []
    for number in range(most):
        try:
            part = nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
            parts.append(_Gpu(_text(nvml.nvmlDeviceGetUUID(part)), part, part=True))
        except nvml.NVMLError:
            continue  # fewer than there could be
    return parts


def _sizes(nvml: Any, gpu: _Gpu, host: DeviceMemory) -> tuple[int, int, bool]:
    """Total, free, and whether it is the CPU's memory."""
    try:
        known = nvml.nvmlDeviceGetMemoryInfo(gpu.handle)
    except nvml.NVMLError as exc:
        if exc.value != nvml.NVML_ERROR_NOT_SUPPORTED:
            raise
        return host.total, host.free, True  # one memory for both, as in Jetson and DGX Spark
    return int(known.total), max(0, min(int(known.free), int(known.total))), False


@cache
def _complain(text: str) -> None:
    """Once: memory is looked at before every load."""
    log.warning("%s", text)


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
