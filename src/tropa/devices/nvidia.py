"""NVIDIA GPUs, through NVML. Without its Python package or its driver there are none."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tropa.devices.device import DeviceMemory
from tropa.devices.visible import visible

log = logging.getLogger("tropa.devices")


@dataclass(frozen=True, slots=True)
class _Gpu:
    handle: Any
    uuid: str


def memory(environ: Mapping[str, str]) -> list[DeviceMemory]:
    """The GPUs that the user lets us use, `cuda:0` first."""
    nvml = _nvml()
    if nvml is None:
        return []
    found: list[DeviceMemory] = []
    for index, gpu in enumerate(visible(_gpus(nvml), "cuda", environ)):
        try:
            known = nvml.nvmlDeviceGetMemoryInfo(gpu.handle)
            name = _text(nvml.nvmlDeviceGetName(gpu.handle))
        except nvml.NVMLError as exc:
            log.warning("GPU %s does not answer: %s", gpu.uuid, exc)
            continue
        found.append(
            DeviceMemory(f"cuda:{index}", int(known.total), int(known.free), "cuda", name, handle=gpu.uuid)
        )
    return found


def used_by(pid: int, environ: Mapping[str, str]) -> dict[str, int]:
    """Bytes that a process holds per device; empty where the driver does not say (in containers it often won't)."""
    nvml = _nvml()
    if nvml is None:
        return {}
    used: dict[str, int] = {}
    for index, gpu in enumerate(visible(_gpus(nvml), "cuda", environ)):
        try:
            processes = nvml.nvmlDeviceGetComputeRunningProcesses(gpu.handle)
        except nvml.NVMLError:
            continue
        sizes = [each.usedGpuMemory for each in processes if each.pid == pid and each.usedGpuMemory]
        if sizes:
            used[f"cuda:{index}"] = int(sum(sizes))
    return used


def _gpus(nvml: Any) -> list[_Gpu]:
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        return [_Gpu(handle, _text(nvml.nvmlDeviceGetUUID(handle))) for handle in handles]
    except nvml.NVMLError as exc:
        log.warning("NVML does not answer: %s", exc)
        return []


_state: dict[str, Any] = {}


def _nvml() -> Any:
    """The library, initialised once; None if there is none."""
    if "nvml" not in _state:
        try:
            import pynvml

            pynvml.nvmlInit()
        except ImportError:
            _state["nvml"] = None
        except pynvml.NVMLError:
            _state["nvml"] = None  # no driver
        else:
            _state["nvml"] = pynvml
    return _state["nvml"]


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
