"""`CUDA_VISIBLE_DEVICES` and its kin: which of a library's devices the user lets us use, and in which order; and
which variables show a process some of them and hide the others. Pure.

Each runtime has its own rules for what is no device, and for one that is named twice; they are kept, because what we
count must be what the engine sees.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

from tropa.devices.device import DeviceMemory


class Physical(Protocol):
    """A device as its driver numbers it. `uuid` is empty where it has none."""

    @property
    def uuid(self) -> str: ...


D = TypeVar("D", bound=Physical)


def cuda(devices: Sequence[D], environ: Mapping[str, str]) -> list[D]:
    """NVIDIA's rules: the list ends at the first entry that is no device, and one named twice hides everything.

    Numbers are those of nvidia-smi. A number ends where its digits end; a UUID may be cut short while it is unique.
    """
    value = environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return list(devices)
    chosen: list[D] = []
    for entry in value.split(","):
        word = entry.strip()
        if word.startswith(("GPU-", "MIG-")):
            device = _only([each for each in devices if each.uuid.startswith(word)])
        else:
            digits = re.match(r"\+?(\d+)", word, re.ASCII)
            device = _at(devices, int(digits[1]) if digits else -1)
        if device is None:
            break
        if device in chosen:
            return []
        chosen.append(device)
    return chosen


def rocm(devices: Sequence[D], environ: Mapping[str, str]) -> list[D]:
    """AMD's rules: the runtime below has its variable, and HIP above it chooses among those that are left."""
    return _hip(_rocr(devices, environ.get("ROCR_VISIBLE_DEVICES")), environ)


def _rocr(devices: Sequence[D], value: str | None) -> Sequence[D]:
    """The list ends at the first entry that is no device or was named before. Letter case means nothing."""
    if value is None:
        return devices
    chosen: list[D] = []
    for entry in value.split(","):
        word = entry.strip().upper()
        if word.startswith("G"):
            named = [each for each in devices if each.uuid and each.uuid.upper().startswith(word)]
            device = _only(named) if len(word) >= len("GPU-x") else None
        else:
            device = _at(devices, _c_number(word))
        if device is None or device in chosen:
            break
        chosen.append(device)
    return chosen


def _hip(devices: Sequence[D], environ: Mapping[str, str]) -> list[D]:
    """Empty is as good as unset, a repetition is passed over, and the list ends at the first entry that is no
    device. A UUID may be any part of one."""
    variables = ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
    value = next((value for name in variables if (value := environ.get(name))), "")
    if not value:
        return list(devices)
    chosen: list[D] = []
    for word in value.split(","):
        if "GPU-" in word:
            device = next((each for each in devices if word in each.uuid), None)
        else:
            device = _at(devices, int(word) if re.fullmatch(r"0|[1-9]\d*", word, re.ASCII) else -1)
        if device is None:
            break
        if device not in chosen:
            chosen.append(device)
    return chosen


def showing(chosen: Sequence[DeviceMemory], machine: Iterable[DeviceMemory]) -> dict[str, str]:
    """The variables that make a process see the `chosen` GPUs, in this order, and none of the machine's others.

    By the devices' own names, so that no other variable can shift them. Nothing for libraries that know no such
    variable, and for devices without a name.
    """
    variables: dict[str, str] = {}
    for library in dict.fromkeys(each.library for each in machine if each.is_gpu and each.handle):
        handles = [each.handle for each in chosen if each.library == library]
        if library == "cuda":
            variables["CUDA_VISIBLE_DEVICES"] = ",".join(handles)
        elif library == "rocm":
            variables["ROCR_VISIBLE_DEVICES"] = ",".join(handles)
            # The user's own choice among all of them would now choose among these.
            variables["HIP_VISIBLE_DEVICES"] = ",".join(map(str, range(len(handles))))
    return variables


def _at(devices: Sequence[D], number: int) -> D | None:
    return devices[number] if 0 <= number < len(devices) else None


def _only(found: Sequence[D]) -> D | None:
    return found[0] if len(found) == 1 else None


def _c_number(word: str) -> int:
    """As C reads a number of any base; -1 for what is none."""
    match = re.fullmatch(r"\+?(?:0X([0-9A-F]+)|0([0-7]*)|([1-9][0-9]*))", word, re.ASCII)
    if match is None:
        return -1
    if match[1]:
        return int(match[1], 16)
    return int(match[3]) if match[3] else int(match[2] or "0", 8)
