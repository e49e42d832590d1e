"""The headers read last, so that finding, showing and loading a model passes over its vocabulary once.

A file that was not touched (time, size, inode) says the same as before. Any thread.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import TypeAlias

from tropa.gguf.header import GGUF
from tropa.gguf.reader import read
from tropa.gguf.value import Array

_KEPT = 16
_LARGEST = 4 << 20
"""Bytes of text and tensors in a header worth keeping: many times what models have, vocabularies aside."""
_TENSOR = 512  # bytes that one takes in memory, about

_Stamp: TypeAlias = tuple[int, int, int]


class Recent:
    """Some headers, by file."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[Path, tuple[_Stamp, GGUF]] = OrderedDict()

    def read(self, path: Path) -> GGUF:
        """As `tropa.gguf.read`, and with its errors, which are never kept."""
        try:
            stat = path.stat()
        except (OSError, ValueError):
            return read(path)  # which knows how to say it
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        with self._lock:
            known = self._known.get(path)
            if known is not None and known[0] == stamp:
                self._known.move_to_end(path)
                return known[1]
        gguf = read(path)
        if _bytes(gguf) <= _LARGEST:
            with self._lock:
                self._known[path] = (stamp, gguf)
                self._known.move_to_end(path)
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
        return gguf


def _bytes(gguf: GGUF) -> int:
    texts = sum(len(value) for value in gguf.metadata.values() if isinstance(value, str))
    kept = sum(8 * len(value.kept or ()) for value in gguf.metadata.values() if isinstance(value, Array))
    return texts + kept + sum(map(len, gguf.metadata)) + _TENSOR * len(gguf.tensors)


recent = Recent()
"""The one that this process shares."""
