"""Finding what an engine complained about in the last lines of its output. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_OUT_OF_MEMORY = re.compile(
    r"out of memory|out of device memory|cudaMalloc failed|hipMalloc failed|failed to allocate|allocation failed"
    r"|not enough memory|insufficient memory|vk_error_out_of_\w*memory|erroroutof(device|host)?memory|std::bad_alloc",
    re.IGNORECASE,
)
# llama.cpp's own lines: minutes, seconds, milliseconds, microseconds, then the level.
_STAMP = re.compile(r"^\d+\.\d+\.\d+\.\d+ (?P<level>[A-Z]) +")
_TROUBLE = re.compile(
    r"panic:|fatal error:|error:|error loading model|CUDA error|ROCm error|GGML_ASSERT|llama_init_from_model:"
    r"|failed to|unknown model architecture|Traceback"
)
_FATAL = re.compile(
    r"panic:|fatal error:|CUDA error|ROCm error|GGML_ASSERT|terminate called|what\(\):|Traceback|[A-Z]\w+Error:"
)
# Our own host's last word and the engine's summing-up: true, but never the reason.
_ECHO = re.compile(
    r"Failed to init server|exiting due to|failed to load model(,? '.*)?$|error while trying to fit params"
)
_LIMIT = 2048  # characters of an error message that people will read


def complaint(lines: Iterable[str]) -> str:
    """Why a load failed: the lines that say what went wrong, joined by `; `. If none does, the last line."""
    reasons: list[str] = []
    echoes: list[str] = []
    last = ""
    for line in lines:
        level, text = _taken_apart(line)
        if not text:
            continue
        last = text
        if level == "E" or _TROUBLE.search(text) or _OUT_OF_MEMORY.search(text):
            found = echoes if _ECHO.search(text) else reasons
            if text not in found:
                found.append(text)
    return "; ".join(reasons or echoes or [last])[-_LIMIT:]


def last_words(lines: Iterable[str]) -> str:
    """Why a serving engine died, if it said so. Ordinary errors, of a request or a load, are no reason to die."""
    found = (_taken_apart(line)[1] for line in lines if _FATAL.search(line) or _OUT_OF_MEMORY.search(line))
    return "; ".join(dict.fromkeys(found))[-_LIMIT:]


def ran_out_of_memory(lines: Iterable[str]) -> bool:
    """Whether the engine said that memory, of the machine or of a device, was not enough."""
    return any(_OUT_OF_MEMORY.search(line) for line in lines)


def _taken_apart(line: str) -> tuple[str, str]:
    """The level, if the line has one, and the text behind it."""
    stamp = _STAMP.match(line)
    return (stamp["level"], line[stamp.end() :].strip()) if stamp else ("", line.strip())
