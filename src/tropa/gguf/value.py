"""The values of a GGUF's metadata. Long arrays stay in the file until somebody asks for them."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TypeAlias

from tropa.gguf import limits
from tropa.gguf.cursor import Cursor
from tropa.gguf.errors import AbsurdHeader, BadMetadata, CutShort, UnreadableFile


class ValueType(IntEnum):
    """The type numbers of the format."""

    UINT8 = 0
    INT8 = 1
    UINT16 = 2
    INT16 = 3
    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9
    UINT64 = 10
    INT64 = 11
    FLOAT64 = 12


FORMS = {
    ValueType.UINT8: "B",
    ValueType.INT8: "b",
    ValueType.UINT16: "H",
    ValueType.INT16: "h",
    ValueType.UINT32: "I",
    ValueType.INT32: "i",
    ValueType.FLOAT32: "f",
    ValueType.BOOL: "?",
    ValueType.UINT64: "Q",
    ValueType.INT64: "q",
    ValueType.FLOAT64: "d",
}
STRUCTS = {kind: struct.Struct("<" + form) for kind, form in FORMS.items()}
F32 = STRUCTS[ValueType.FLOAT32]
ARRAY_HEAD = 4 + 8


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the metadata: its length is known, its contents are read from the file when asked for.

    Short numeric arrays (one number per layer) are kept, so asking for them costs nothing.
    """

    type: ValueType
    length: int
    key: str
    path: Path
    offset: int
    """Where the first element is in the file."""
    kept: tuple[Item, ...] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return self.length

    def values(self, *, lossy: bool = False) -> tuple[Item, ...]:
        """All elements. May raise what reading raises: the file may have changed since.

        Words that are not valid UTF-8 are an error too, unless `lossy`: engines run models that have such.
        """
        if self.kept is not None:
            return self.kept
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                if self.offset > size:
                    raise CutShort(self.path, f"the file is cut short: key {self.key!r} is beyond its end")
                cursor = Cursor(file, size, self.path, at=self.offset)
                return _elements(cursor, self.type, self.length, f"key {self.key!r}", 0, lossy=lossy)
        except OSError as exc:
            raise UnreadableFile(self.path, f"can't be read: {exc.strerror or exc}") from exc


Item: TypeAlias = "int | float | bool | str | tuple[Item, ...]"
Value: TypeAlias = "int | float | bool | str | Array"


def read_value(cursor: Cursor, key: str) -> Value:
    """The type and value at the cursor."""
    what = f"key {key!r}"
    kind = _type(cursor, what)
    if kind is ValueType.ARRAY:
        return _array(cursor, key, what)
    if kind is ValueType.STRING:
        return cursor.string(what)
    (number,) = cursor.unpack(STRUCTS[kind], what)
    return shortest(number) if kind is ValueType.FLOAT32 else number


def shortest(number: float) -> float:
    """The number with the fewest digits that is the same as a 32-bit float: 1e-05, not 9.999999747378752e-06."""
    if abs(number) < 1 << 24 and number.is_integer():  # most scores of a vocabulary
        return number
    for digits in (6, 7, 8):
        short = float(f"{number:.{digits}g}")
        with suppress(OverflowError):  # rounded up, the largest ones are none
            if F32.unpack(F32.pack(short))[0] == number:
                return short
    return number


def _type(cursor: Cursor, what: str) -> ValueType:
    number = cursor.u32(what)
    try:
        return ValueType(number)
    except ValueError:
        raise BadMetadata(cursor.path, f"{what} has an invalid type: {number}") from None


def _array(cursor: Cursor, key: str, what: str) -> Array:
    kind, length = _array_head(cursor, what)
    offset = cursor.tell()
    if kind in STRUCTS and length <= limits.KEPT_ELEMENTS:
        return Array(kind, length, key, cursor.path, offset, _elements(cursor, kind, length, what, 0))
    _skip(cursor, kind, length, what, 0)
    return Array(kind, length, key, cursor.path, offset)


def _array_head(cursor: Cursor, what: str) -> tuple[ValueType, int]:
    kind = _type(cursor, what)
    length = cursor.u64(what)
    if length > limits.ELEMENTS or length * _least(kind) > cursor.remaining:
        why = f"and {cursor.remaining} bytes of header are left"
        raise AbsurdHeader(cursor.path, f"{what} says it holds {length} elements, {why}")
    return kind, length


def _least(kind: ValueType) -> int:
    """The fewest bytes an element can take."""
    if kind is ValueType.STRING:
        return 8
    return ARRAY_HEAD if kind is ValueType.ARRAY else STRUCTS[kind].size


def _deeper(cursor: Cursor, what: str, depth: int) -> int:
    if depth + 1 >= limits.ARRAY_DEPTH:
        raise BadMetadata(cursor.path, f"{what} nests arrays more than {limits.ARRAY_DEPTH} deep")
    return depth + 1


def _skip(cursor: Cursor, kind: ValueType, length: int, what: str, depth: int) -> None:
    if kind is ValueType.STRING:
        cursor.skip_strings(length, what)
    elif kind is ValueType.ARRAY:
        deeper = _deeper(cursor, what, depth)
        for _ in range(length):
            inner, count = _array_head(cursor, what)
            _skip(cursor, inner, count, what, deeper)
    else:
        cursor.skip(length * STRUCTS[kind].size, what)


def _elements(
    cursor: Cursor, kind: ValueType, length: int, what: str, depth: int, *, lossy: bool = False
) -> tuple[Item, ...]:
    if kind is ValueType.STRING:
        return tuple(cursor.string(what, lossy=lossy) for _ in range(length))
    if kind is ValueType.ARRAY:
        deeper = _deeper(cursor, what, depth)
        return tuple(
            _elements(cursor, *_array_head(cursor, what), what, deeper, lossy=lossy) for _ in range(length)
        )
    return cursor.unpack(struct.Struct(f"<{length}{FORMS[kind]}"), what)
