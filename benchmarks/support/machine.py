"""Where and with what a figure was taken: a number without this is an anecdote."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = ("tropa", "xllamacpp", "uvicorn", "uvloop", "httptools", "starlette", "msgspec")
KNOBS = ("OLLAMA_", "TROPA_", "OMP_", "GOMP_", "KMP_", "GGML_", "LLAMA_")


def machine() -> dict[str, object]:
    """Processor, cores, memory, kernel, and how busy the machine is with other things."""
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "usable_cores": _usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / (1 << 30), 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_average": [round(load, 2) for load in psutil.getloadavg()],
    }


def versions() -> dict[str, str]:
    """Of Python and of every package on the token path."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def environment_knobs() -> dict[str, str]:
    """Variables of the caller's that could change a figure. Servers get none of the OLLAMA_ and TROPA_ ones."""
    return {name: value for name, value in sorted(os.environ.items()) if name.startswith(KNOBS)}


def _usable_cores() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
