"""Values of GGUF keys, written as bytes. The Python type says the kind: it must be right where it is made."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeAlias

from tropa.gguf.value import ValueType
from tropa.library.convert.errors import InvalidModelFolder

Scalar: TypeAlias = bool | int | float | str
Value: TypeAlias = Scalar | Sequence[str] | Sequence[int] | Sequence[float] | Sequence[bool]
"""int: uint32 (uint64 if it must be). float: float32. Lists: of strings, int32, float32 or bool, none of them empty."""


def encode_key(key: str, value: Value) -> bytes:
    """A key and its value. Raises InvalidModelFolder for text that can't be written."""
    return encode_text(key) + _encode(key, value)


def encode_text(text: str) -> bytes:
    try:
        raw = text.encode()
    except UnicodeEncodeError as error:  # JSON can write half of a surrogate pair
        raise InvalidModelFolder(f"text that is no valid Unicode: {text[:80]!r}") from error
    return struct.pack("<Q", len(raw)) + raw


def _encode(key: str, value: Value) -> bytes:
    match value:
        case bool():
            return _kind(ValueType.BOOL) + struct.pack("<?", value)
        case int():
            if value < 0 or value >= 1 << 64:
                raise InvalidModelFolder(f"{key} is {value}, which no count is")
            wide = value >= 1 << 32
            kind = ValueType.UINT64 if wide else ValueType.UINT32
            return _kind(kind) + struct.pack("<Q" if wide else "<I", value)
        case float():
            return _kind(ValueType.FLOAT32) + struct.pack("<f", value)
        case str():
            return _kind(ValueType.STRING) + encode_text(value)
        case _:
            return _array(value)


def _array(values: Sequence[str] | Sequence[int] | Sequence[float] | Sequence[bool]) -> bytes:
    count = len(values)
    if all(isinstance(each, str) for each in values):
        body = b"".join(encode_text(each) for each in values if isinstance(each, str))
        kind = ValueType.STRING
    elif all(isinstance(each, bool) for each in values):
        body, kind = struct.pack(f"<{count}?", *values), ValueType.BOOL
    elif all(isinstance(each, int) for each in values):
        body, kind = struct.pack(f"<{count}i", *values), ValueType.INT32
    else:
        body, kind = struct.pack(f"<{count}f", *values), ValueType.FLOAT32
    return _kind(ValueType.ARRAY) + _kind(kind) + struct.pack("<Q", count) + body


def _kind(kind: ValueType) -> bytes:
    return struct.pack("<I", kind)
