"""All devices of this machine at one moment. The one place that the rest of the program asks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tropa.devices import amd, apple, host, nvidia
from tropa.devices.device import DeviceMemory


def devices(environ: Mapping[str, str] = os.environ, root: Path = Path("/")) -> list[DeviceMemory]:
    """The CPU first, then GPUs by library and number. Blocks for some milliseconds where drivers are asked."""
    cpu = host.memory(root)
    return [cpu, *nvidia.memory(environ, cpu), *amd.memory(environ, root), *apple.memory(cpu)]


def used_by(pid: int, environ: Mapping[str, str] = os.environ, root: Path = Path("/")) -> dict[str, int]:
    """Bytes that a process holds of each GPU's own memory, as far as the drivers say. Blocks like `devices`."""
    return nvidia.used_by(pid, environ) | amd.used_by(pid, environ, root)
