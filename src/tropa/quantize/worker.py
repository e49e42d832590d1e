"""The process that converts: `python -m tropa.quantize.worker LIBRARY`, with standard library only.

The first line of its input is the work: a file, and which of its tensors become what. The bytes of the new
tensors leave by its output, in their order and without padding. Its input stays open after that line: when it
ends, whoever asked is dead, and so is this process. A crash in the engine's library ends this process and
nothing else.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

PIECE = 1 << 20
"""Numbers that one thread converts at a time: 4 MiB as F32."""
NICE = 10
"""Conversations go first: this can wait."""
F32, F16, BF16 = 0, 1, 30


class Failed(Exception):
    """The work cannot be done; the text is for the user."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a tensor: `offset` in the file, types by their number in ggml."""

    name: str
    offset: int
    rows: int
    row: int
    source: int
    target: int


class Engine:
    """The engine's library, as far as it is needed here. Its calls do not hold the interpreter's lock."""

    def __init__(self, path: str) -> None:
        library = ctypes.CDLL(path)
        integer, pointer = ctypes.c_int64, ctypes.c_void_p
        kinds: dict[str, tuple[Any, list[Any]]] = {
            "ggml_quantize_chunk": (
                ctypes.c_size_t,
                [ctypes.c_int, pointer, pointer, integer, integer, integer, pointer],
            ),
            "ggml_row_size": (ctypes.c_size_t, [ctypes.c_int, integer]),
            "ggml_validate_row_data": (ctypes.c_bool, [ctypes.c_int, pointer, ctypes.c_size_t]),
            "ggml_fp16_to_fp32_row": (None, [pointer, pointer, integer]),
            "ggml_bf16_to_fp32_row": (None, [pointer, pointer, integer]),
        }
        for name, (result, arguments) in kinds.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        self._library = library

    def row_size(self, kind: int, row: int) -> int:
        return int(self._library.ggml_row_size(kind, row))

    def convert(self, part: Part, data: bytes) -> bytes:
        """The same rows in the type they are to have."""
        library, count = self._library, part.rows * part.row
        self._check(part, part.source, data, len(data))
        if part.source == part.target:
            return data
        if part.source == F32:
            numbers: Any = data
        else:
            numbers = ctypes.create_string_buffer(4 * count)
            widen = {F16: library.ggml_fp16_to_fp32_row, BF16: library.ggml_bf16_to_fp32_row}[part.source]
            widen(data, numbers, count)
        size = self.row_size(part.target, part.row) * part.rows
        result = ctypes.create_string_buffer(size)
        wrote = library.ggml_quantize_chunk(part.target, numbers, result, 0, part.rows, part.row, None)
        if wrote != size:
            raise Failed(f"tensor {part.name!r}: {wrote} bytes came out instead of {size}")
        self._check(part, part.target, result, size)
        return result.raw

    def _check(self, part: Part, kind: int, data: Any, size: int) -> None:
        if not self._library.ggml_validate_row_data(kind, data, size):
            raise Failed(
                f"tensor {part.name!r} holds numbers that are not finite (NaN or infinity): damaged?"
            )


def parts(tensors: list[dict[str, Any]], engine: Engine) -> Iterator[Part]:
    """All tensors, cut into pieces of whole rows."""
    for tensor in tensors:
        row, rows, offset = tensor["row"], tensor["rows"], tensor["offset"]
        size = engine.row_size(tensor["source"], row)
        step = max(1, PIECE // row)
        for first in range(0, rows, step):
            many = min(step, rows - first)
            yield Part(tensor["name"], offset + first * size, many, row, tensor["source"], tensor["target"])


def work(engine: Engine, order: dict[str, Any], out: BinaryIO) -> None:
    """Convert in several threads, write in order. No more pieces are in memory than keep the threads busy."""
    threads = order["threads"]
    with open(order["path"], "rb") as file, ThreadPoolExecutor(threads) as pool:  # noqa: PTH123 - no pathlib here: its import is half of this process's start
        lock = threading.Lock()

        def one(part: Part) -> bytes:
            size = engine.row_size(part.source, part.row) * part.rows
            data = _read(file, part.offset, size, lock)
            if len(data) < size:
                raise Failed(f"the file ended within tensor {part.name!r}: was it changed meanwhile?")
            return engine.convert(part, data)

        waiting: deque[Future[bytes]] = deque()
        for part in parts(order["tensors"], engine):
            if len(waiting) > threads:
                out.write(waiting.popleft().result())
            waiting.append(pool.submit(one, part))
        out.writelines(future.result() for future in waiting)
    out.flush()


def _read(file: BinaryIO, offset: int, size: int, lock: threading.Lock) -> bytes:
    if hasattr(os, "pread"):
        data = os.pread(file.fileno(), size, offset)
        while len(data) < size and (more := os.pread(file.fileno(), size - len(data), offset + len(data))):
            data += more  # one call gives at most 2 GiB
        return data
    with lock:
        file.seek(offset)
        return file.read(size)


def _die_with_asker() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def main(argv: list[str]) -> None:
    """Ends with status 0 when all is written; 3 with a text for the user on standard error."""
    # What the library might print must not get into the stream.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_die_with_asker, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(NICE)
    try:
        work(Engine(argv[0]), order, out)
    except (Failed, OSError, AttributeError) as exc:  # the last: a library without these functions
        print(f"{exc}", file=sys.stderr, flush=True)
        os._exit(3)
    os._exit(0)  # no destructors of the engine


if __name__ == "__main__":
    main(sys.argv[1:])
