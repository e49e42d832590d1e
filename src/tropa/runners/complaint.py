"""Finding what an engine complained about in the last lines of its output. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_OUT_OF_MEMORY = re.compile(
    r"out of memory|out of device memory|cudaMalloc failed|hipMalloc failed|failed to allocate|allocation failed"
    r"|not enough memory|insufficient memory|vk_error_out_of_device_memory|erroroutofmemory|std::bad_alloc",
    re.IGNORECASE,
)
_TROUBLE = re.compile(
    r"panic:|fatal error:|error:|error loading model|CUDA error|ROCm error|GGML_ASSERT|llama_init_from_model:"
    r"|failed to|unknown model architecture|Traceback"
)
# Our own host's last word and the engine's summing-up: true, but never the reason.
_ECHO = re.compile(r"Failed to init server|exiting due to model loading error|failed to load model, '")
_LIMIT = 2048  # characters of an error message that people will read


def complaint(lines: Iterable[str]) -> str:
    """The lines that say what went wrong, joined by `; `; empty if none does."""
    found: list[str] = []
    for line in lines:
        match = _TROUBLE.search(line) or _OUT_OF_MEMORY.search(line)
        if match and not _ECHO.search(line) and (text := line.strip()) not in found:
            found.append(text)
    return "; ".join(found)[-_LIMIT:]


def ran_out_of_memory(lines: Iterable[str]) -> bool:
    """Whether the engine said that memory, of the machine or of a device, was not enough."""
    return any(_OUT_OF_MEMORY.search(line) for line in lines)
