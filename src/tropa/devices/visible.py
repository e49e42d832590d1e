"""`CUDA_VISIBLE_DEVICES` and its kin: which of a library's devices the user lets us use, in which order. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

VARIABLES = {
    "cuda": ("CUDA_VISIBLE_DEVICES",),
    "rocm": ("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"),
    "vulkan": ("GGML_VK_VISIBLE_DEVICES",),
}


class Physical(Protocol):
    """A device as its driver numbers it."""

    @property
    def uuid(self) -> str: ...


D = TypeVar("D", bound=Physical)


def visible(devices: Sequence[D], library: str, environ: Mapping[str, str]) -> list[D]:
    """The devices that are left, in the order in which the library will number them.

    As the drivers do it: the list ends at the first entry that means nothing (-1, a number too large), an empty
    value hides everything, and an entry may be the start of a UUID.
    """
    for variable in VARIABLES.get(library, ()):
        if (value := environ.get(variable)) is not None:
            devices = _chosen(devices, value)
    return list(devices)


def _chosen(devices: Sequence[D], value: str) -> list[D]:
    chosen: list[D] = []
    for entry in (part.strip() for part in value.split(",")):
        if entry.isdigit():
            match = devices[int(entry)] if int(entry) < len(devices) else None
        else:
            match = next((each for each in devices if entry and each.uuid.startswith(entry)), None)
        if match is None or match in chosen:
            break
        chosen.append(match)
    return chosen
