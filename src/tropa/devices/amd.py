"""AMD GPUs, through sysfs: the kernel's driver says what there is without any library.

ROCm sees a GPU through the kernel's compute driver (KFD), in the order of that driver's nodes; how much of its memory
is used stands with its render device.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tropa.devices.device import DeviceMemory
from tropa.devices.visible import rocm

KFD = "sys/class/kfd/kfd"
INTEGRATED_BELOW = 3 << 30
"""Bytes of memory of its own. What the firmware sets apart for an integrated GPU is less, unless somebody set it to
more; the smallest GPUs with 4 GB show a little less than that."""


@dataclass(frozen=True, slots=True)
class _Node:
    """`number` counts GPUs, as ROCR_VISIBLE_DEVICES does; `id` is the driver's own name for it."""

    number: int
    id: str
    uuid: str
    folder: Path


def memory(environ: Mapping[str, str], root: Path = Path("/")) -> list[DeviceMemory]:
    """The GPUs that the user lets us use, `rocm:0` first."""
    found: list[DeviceMemory] = []
    for index, node in enumerate(rocm(_nodes(root), environ)):
        total = _number(node.folder / "mem_info_vram_total")
        used = _number(node.folder / "mem_info_vram_used")
        if total == 0:
            continue  # its sysfs is not to be seen from here: nothing can be promised on it
        integrated = total < INTEGRATED_BELOW
        if integrated:  # it uses the CPU's memory beyond its own, through the GTT
            total += _number(node.folder / "mem_info_gtt_total")
            used += _number(node.folder / "mem_info_gtt_used")
        found.append(
            DeviceMemory(
                f"rocm:{index}",
                total,
                max(0, total - used),
                "rocm",
                _text(node.folder / "product_name"),
                integrated,
                handle=node.uuid or str(node.number),
            )
        )
    return found


def used_by(pid: int, environ: Mapping[str, str], root: Path = Path("/")) -> dict[str, int]:
    """Bytes that a process holds per device; empty where the driver does not say."""
    used: dict[str, int] = {}
    for index, node in enumerate(rocm(_nodes(root), environ)):
        if size := _number(root / KFD / "proc" / str(pid) / f"vram_{node.id}"):
            used[f"rocm:{index}"] = size
    return used


def _nodes(root: Path) -> list[_Node]:
    """The GPUs among the nodes, in their order. One whose properties we may not read, no runtime may use."""
    nodes = root / KFD / "topology/nodes"
    numbers = (
        sorted(int(entry.name) for entry in nodes.iterdir() if entry.name.isdigit()) if nodes.is_dir() else ()
    )
    found: list[_Node] = []
    for number in numbers:
        folder = nodes / str(number)
        known = dict(line.split(" ", 1) for line in _text(folder / "properties").splitlines() if " " in line)
        if known.get("simd_count", "0") == "0":
            continue  # a CPU
        unique = known.get("unique_id", "")
        uuid = f"GPU-{int(unique):016x}" if unique.isdigit() and unique != "0" else ""
        render = root / "sys/class/drm" / f"renderD{known.get('drm_render_minor', '0')}" / "device"
        found.append(_Node(len(found), _text(folder / "gpu_id"), uuid, render))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isascii() and text.isdigit() else 0
