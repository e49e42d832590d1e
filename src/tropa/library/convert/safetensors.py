"""Files of weights. The header is untrusted: no number in it is followed before it has been checked against the file.

A file is an 8-byte little-endian length, that many bytes of JSON `{name: {dtype, shape, data_offsets: [a, b]}}`,
and the data; offsets count from the end of the header. Weights are read when asked for, never all at once.
"""

from __future__ import annotations

import json
import math
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tropa.library.convert.errors import InvalidSafetensors

HEADER = 32 << 20
"""Bytes of JSON. A shard of the largest models has less than one; a whole model in one file some ten."""
TENSORS = 1 << 17
DIMENSIONS = 4
CHUNK = 16 << 20
"""Bytes read at a time where a tensor can be taken in parts."""

STORED: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # numpy has none: the bits
    "F8_E4M3": np.dtype("u1"),
}
WIDTHS = {kind: dtype.itemsize for kind, dtype in STORED.items()} | {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "I32": 4,
    "U32": 4,
    "I16": 2,
    "U16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "F8_E5M2": 1,
}
"""Bytes of one number, also of kinds that no weights here may have: position buffers and the like are passed over."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor in a file. `shape` is outermost first; `offset` counts from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    path: Path
    offset: int
    nbytes: int

    def read(self) -> NDArray[Any]:
        """All of it, in its shape, as stored (BF16 and F8 as bits). Raises InvalidSafetensors."""
        return self._part(0, self.nbytes).reshape(self.shape)

    def parts(self) -> Iterator[NDArray[Any]]:
        """The numbers in order and flat, about `CHUNK` bytes at a time. Raises InvalidSafetensors."""
        for at in range(0, self.nbytes, CHUNK):
            yield self._part(at, min(CHUNK, self.nbytes - at))

    def _part(self, at: int, count: int) -> NDArray[Any]:
        dtype = STORED.get(self.dtype)
        if dtype is None:
            raise InvalidSafetensors(self.file, f'unknown data type: {self.dtype} (tensor "{self.name}")')
        try:
            with self.path.open("rb") as file:
                found = np.fromfile(file, dtype, count // dtype.itemsize, offset=self.offset + at)
        except OSError as error:
            raise InvalidSafetensors(self.file, f"can't be read: {error.strerror or error}") from error
        if found.nbytes != count:
            raise InvalidSafetensors(self.file, f'is cut short in tensor "{self.name}"')
        return found


def read(path: Path, file: str) -> dict[str, Stored]:
    """What tensors a file has, by name; `file` is how messages call it. Raises InvalidSafetensors."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InvalidSafetensors(file, "is not a regular file")
        size = status.st_size
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > size - 8:
                raise InvalidSafetensors(
                    file,
                    f"says its header takes {length} bytes, and the file has {size} (cut short, or no safetensors)",
                    hint=_what(path),
                )
            if length > HEADER:
                raise InvalidSafetensors(file, f"has a header of {length} bytes; the limit is {HEADER}")
            raw = stream.read(length)
    except OSError as error:
        raise InvalidSafetensors(file, f"can't be read: {error.strerror or error}") from error
    found = {name: _stored(name, entry, file, path, 8 + length, size) for name, entry in _entries(raw, file)}
    _check_places(found, file)
    return found


def _what(path: Path) -> str | None:
    with path.open("rb") as stream:
        head = stream.read(32)
    if head.startswith(b"version https://git-lfs"):
        return "it is a git-lfs pointer: the real file was not downloaded"
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return "it is a pickle of PyTorch's: save the model as safetensors"
    return None


def _entries(raw: bytes, file: str) -> Iterator[tuple[str, object]]:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise InvalidSafetensors(file, f'the header names "{twice[:200]}" twice')
        return fields

    try:
        header = json.loads(raw, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise InvalidSafetensors(file, f"its header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise InvalidSafetensors(file, "its header is no JSON object")
    header.pop("__metadata__", None)
    if len(header) > TENSORS:
        raise InvalidSafetensors(file, f"has {len(header)} tensors; the limit is {TENSORS}")
    yield from header.items()


def _stored(name: str, entry: object, file: str, path: Path, start: int, size: int) -> Stored:
    def wrong(what: str) -> NoReturn:
        raise InvalidSafetensors(file, f'tensor "{name[:200]}" {what}')

    if not isinstance(entry, dict):
        wrong("is described by no object")
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str):
        wrong("has no dtype")
    if dtype not in WIDTHS:
        raise InvalidSafetensors(file, f'unknown data type: {dtype[:40]} (tensor "{name[:200]}")')
    if not isinstance(shape, list) or not all(_whole(each) for each in shape):
        wrong("has no list of whole numbers for a shape")
    if len(shape) > DIMENSIONS:
        wrong(f"has {len(shape)} dimensions; the limit is {DIMENSIONS}")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_whole(each) for each in offsets):
        wrong("has no pair of data_offsets")
    begin, end = offsets
    if begin > end or start + end > size:
        wrong(f"lies at bytes {_huge(begin)} to {_huge(end)} of {size - start} (the file is cut short?)")
    if math.prod(shape) * WIDTHS[dtype] != end - begin:
        wrong(f"of shape {_shape(shape)} and type {dtype} can't take {end - begin} bytes")
    return Stored(name, dtype, tuple(shape), file, path, start + begin, end - begin)


def _check_places(found: dict[str, Stored], file: str) -> None:
    """No two tensors on the same bytes: a small file could otherwise promise terabytes."""
    after, previous = 0, ""
    for each in sorted(found.values(), key=lambda each: (each.offset, each.nbytes)):
        if each.offset < after:
            raise InvalidSafetensors(file, f'tensors "{previous[:200]}" and "{each.name[:200]}" overlap')
        if each.nbytes:
            after, previous = each.offset + each.nbytes, each.name


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _huge(value: int) -> str:
    return str(value) if value < 1 << 64 else "beyond 2^64"


def _shape(shape: list[int]) -> str:
    return f"[{', '.join(map(_huge, shape))}]"
