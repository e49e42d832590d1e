"""A new header for weights that changed their place or type: quantized, or joined from several files.

Keys are kept byte for byte, also those that we cannot name; only what the caller replaces is written anew.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tropa.gguf.cursor import Cursor
from tropa.gguf.errors import CutShort, UnreadableFile
from tropa.gguf.header import GGUF
from tropa.gguf.tensor import Tensor
from tropa.gguf.value import ValueType, read_value

VERSION = 3
_COUNTS = 4 + 4 + 8 + 8


class Sink(Protocol):
    """Where a file's bytes go, in their order: a file, or the store's writer, which hashes them."""

    def write(self, chunk: bytes | memoryview, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a file's metadata: its name, and its bytes with the name in them."""

    name: str
    raw: bytes


def keys(gguf: GGUF) -> list[Key]:
    """All keys of a file that was read before, in their order."""
    found: list[Key] = []
    try:
        with gguf.path.open("rb") as file:
            cursor = Cursor(file, file.seek(0, 2), gguf.path, at=_COUNTS)
            for index in range(len(gguf.metadata)):
                start = cursor.tell()
                name = cursor.string(f"the name of key {index}")
                read_value(cursor, name)
                end = cursor.tell()
                file.seek(start)
                raw = file.read(end - start)
                if len(raw) < end - start:
                    raise CutShort(gguf.path, f"the file is cut short in key {name!r}")
                found.append(Key(name, raw))
    except OSError as exc:
        raise UnreadableFile(gguf.path, f"can't be read: {exc.strerror or exc}") from exc
    return found


def u32(name: str, value: int) -> Key:
    return Key(name, _string(name) + struct.pack("<II", ValueType.UINT32, value))


def text(name: str, value: str) -> Key:
    return Key(name, _string(name) + struct.pack("<I", ValueType.STRING) + _string(value))


def replaced(
    existing: Iterable[Key], new: Mapping[str, Key], drop: frozenset[str] = frozenset()
) -> list[Key]:
    """`existing` without what is dropped or replaced, and then the new ones."""
    return [key for key in existing if key.name not in drop and key.name not in new] + list(new.values())


def placed(tensors: Iterable[Tensor], alignment: int) -> list[Tensor]:
    """The same tensors, one after another."""
    offset, result = 0, []
    for tensor in tensors:
        result.append(Tensor(tensor.name, tensor.dims, tensor.type, offset))
        offset += padded(tensor.nbytes, alignment)
    return result


def padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def header(metadata: Sequence[Key], tensors: Sequence[Tensor], alignment: int) -> bytes:
    """Everything before the weights, padded: the first tensor begins right behind it."""
    parts = [b"GGUF", struct.pack("<IQQ", VERSION, len(tensors), len(metadata))]
    parts += [key.raw for key in metadata]
    for tensor in tensors:
        parts.append(_string(tensor.name) + struct.pack("<I", len(tensor.dims)))
        parts.append(struct.pack(f"<{len(tensor.dims)}Q", *tensor.dims))
        parts.append(struct.pack("<IQ", tensor.type.id, tensor.offset))
    head = b"".join(parts)
    return head + bytes(padded(len(head), alignment) - len(head))


def _string(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw
