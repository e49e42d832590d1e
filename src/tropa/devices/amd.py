"""AMD GPUs, through sysfs: the kernel's driver says what there is without any library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tropa.devices.device import DeviceMemory
from tropa.devices.visible import visible

AMD = "0x1002"
INTEGRATED_BELOW = 4 << 30  # bytes of memory of its own: an APU's carve-out is smaller, the rest is the CPU's


@dataclass(frozen=True, slots=True)
class _Card:
    folder: Path
    uuid: str


def memory(environ: Mapping[str, str], root: Path = Path("/")) -> list[DeviceMemory]:
    """The GPUs that the user lets us use, `rocm:0` first."""
    found: list[DeviceMemory] = []
    for index, card in enumerate(visible(_cards(root), "rocm", environ)):
        total = _number(card.folder / "mem_info_vram_total")
        used = _number(card.folder / "mem_info_vram_used")
        name = _text(card.folder / "product_name")
        integrated = total < INTEGRATED_BELOW
        if integrated:  # it uses the CPU's memory beyond its own, through the GTT
            total += _number(card.folder / "mem_info_gtt_total")
            used += _number(card.folder / "mem_info_gtt_used")
        free = max(0, total - used)
        found.append(
            DeviceMemory(
                f"rocm:{index}", total, free, "rocm", name, integrated, handle=card.uuid or str(index)
            )
        )
    return found


def _cards(root: Path) -> list[_Card]:
    drm = root / "sys/class/drm"
    cards: list[tuple[int, _Card]] = []
    for entry in drm.glob("card*") if drm.is_dir() else ():
        number = entry.name.removeprefix("card")
        folder = entry / "device"
        if number.isdigit() and _text(folder / "vendor") == AMD and (folder / "mem_info_vram_total").exists():
            unique = _text(folder / "unique_id")
            cards.append((int(number), _Card(folder, f"GPU-{unique}" if unique else "")))
    return [card for _, card in sorted(cards, key=lambda each: each[0])]


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _number(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdigit() else 0
