"""A small honest stand-in for the `pynvml` module: the functions we call, with its types and its errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple, Self

NOT_SUPPORTED, NOT_FOUND, DRIVER_NOT_LOADED, GPU_IS_LOST = 3, 6, 9, 15


class NVMLError(Exception):
    """As there: `value` is the code, and the text is only in `str`."""

    def __new__(cls, value: int) -> Self:
        made = super().__new__(cls)
        made.value = value
        return made

    value: int

    def __str__(self) -> str:
        return {3: "Not Supported", 6: "Not Found", 9: "Driver Not Loaded", 15: "GPU is lost"}[self.value]


class Memory(NamedTuple):
    total: int
    free: int
    used: int


class Process(NamedTuple):
    pid: int
    usedGpuMemory: int | None  # noqa: N815 - NVML's own name


@dataclass
class Gpu:
    """One GPU. `fails` names functions that raise, and the code. `parts`: divided (MIG) into these."""

    uuid: str
    total: int = 0
    used: int = 0
    name: str = "NVIDIA H100 80GB HBM3"
    processes: tuple[Process, ...] = ()
    parts: list[Gpu] | None = None
    fails: dict[str, int] = field(default_factory=dict)


def nvml(gpus: list[Gpu], *, init: int | None = None, count: int | None = None) -> ModuleType:
    """The module. `init`, `count`: the codes with which those calls fail."""
    module = ModuleType("pynvml")

    def fail(code: int | None) -> None:
        if code is not None:
            raise NVMLError(code)

    def answer(name: str, value: Callable[[Gpu], Any]) -> Callable[[Gpu], Any]:
        def call(handle: Gpu) -> Any:
            assert isinstance(handle, Gpu), "a handle that NVML did not give"
            fail(handle.fails.get(name))
            return value(handle)

        return call

    def handle(index: int) -> Gpu:
        fail(gpus[index].fails.get("nvmlDeviceGetHandleByIndex"))
        return gpus[index]

    def mode(gpu: Gpu) -> list[int]:
        return [int(gpu.parts is not None)] * 2

    def part(gpu: Gpu, index: int) -> Gpu:
        if gpu.parts is None or index >= len(gpu.parts):
            raise NVMLError(NOT_FOUND)
        return gpu.parts[index]

    def counted() -> int:
        fail(count)
        return len(gpus)

    functions: dict[str, Any] = {
        "NVMLError": NVMLError,
        "NVML_ERROR_NOT_SUPPORTED": NOT_SUPPORTED,
        "NVML_DEVICE_MIG_ENABLE": 1,
        "nvmlInit": lambda: fail(init),
        "nvmlDeviceGetCount": counted,
        "nvmlDeviceGetHandleByIndex": handle,
        "nvmlDeviceGetUUID": answer("nvmlDeviceGetUUID", lambda gpu: gpu.uuid),
        "nvmlDeviceGetName": answer("nvmlDeviceGetName", lambda gpu: gpu.name.encode()),
        "nvmlDeviceGetMemoryInfo": answer(
            "nvmlDeviceGetMemoryInfo", lambda gpu: Memory(gpu.total, gpu.total - gpu.used, gpu.used)
        ),
        "nvmlDeviceGetComputeRunningProcesses": answer(
            "nvmlDeviceGetComputeRunningProcesses", lambda gpu: list(gpu.processes)
        ),
        "nvmlDeviceGetMigMode": answer("nvmlDeviceGetMigMode", mode),
        "nvmlDeviceGetMaxMigDeviceCount": lambda gpu: 7,
        "nvmlDeviceGetMigDeviceHandleByIndex": part,
    }
    for name, value in functions.items():
        setattr(module, name, value)
    return module
