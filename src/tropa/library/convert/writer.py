"""A GGUF (version 3) in one pass: the header, then the tensors in their order. Nothing is kept, nothing is sought.

The `gguf` package has a writer too. It opens its files itself, takes whole tensors, and drops empty strings.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tropa.library.convert.values import Value, encode_key, encode_text

ALIGNMENT = 32
F32, F16, BF16 = 0, 1, 30
WIDTHS = {F32: 4, F16: 2, BF16: 2}


class Out(Protocol):
    """Where the bytes go."""

    def write(self, data: Any, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Info:
    """One tensor to come. `shape` is outermost first; `kind` is F32, F16 or BF16."""

    name: str
    shape: tuple[int, ...]
    kind: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * WIDTHS[self.kind]


class Writer:
    """Writes the header when made; then `write` takes all tensors' bytes, in order and in parts of any size."""

    def __init__(self, out: Out, keys: Mapping[str, Value], tensors: Sequence[Info]) -> None:
        self._out = out
        self._sizes = iter([each.nbytes for each in tensors])
        head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)))
        for key, value in sorted(keys.items()):
            head += encode_key(key, value)
        offset = 0
        for each in tensors:
            dims = each.shape[::-1] or (1,)
            head += encode_text(each.name) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
            head += struct.pack("<IQ", each.kind, offset)
            offset += _padded(each.nbytes)
        head += bytes(_padded(len(head)) - len(head))
        out.write(bytes(head))
        self._padding = 0
        self._left = 0

    def begin(self) -> None:
        """The next tensor. The one before must be complete."""
        assert not self._left, f"{self._left} bytes of the tensor before are missing"
        self._out.write(bytes(self._padding))
        self._left = next(self._sizes)
        self._padding = _padded(self._left) - self._left

    def write(self, data: Any) -> None:
        """A part of the tensor begun: anything with a buffer."""
        view = memoryview(data).cast("B")
        self._left -= view.nbytes
        assert self._left >= 0, "more bytes than the tensor has"
        self._out.write(view)

    def end(self) -> None:
        assert not self._left
        assert next(self._sizes, None) is None, "a tensor is missing"
        self._out.write(bytes(self._padding))


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
