"""GGUF bytes by hand: whatever the format could say, right or wrong."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
FORMS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?"}
FORMS |= {U64: "Q", I64: "q", F64: "d"}


def string(text: str | bytes) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def value(kind: int, content: object) -> bytes:
    """A typed value. For an array, `content` is (element type, elements), elements themselves contents."""
    return struct.pack("<I", kind) + _content(kind, content)


def _content(kind: int, content: object) -> bytes:
    if kind == STRING:
        assert isinstance(content, str | bytes)
        return string(content)
    if kind == ARRAY:
        assert isinstance(content, tuple)
        inner, elements = content
        return struct.pack("<IQ", inner, len(elements)) + b"".join(_content(inner, e) for e in elements)
    return struct.pack("<" + FORMS[kind], content)


def key(name: str | bytes, kind: int, content: object) -> bytes:
    return string(name) + value(kind, content)


@dataclass
class RawTensor:
    name: str | bytes = "a"
    dims: Sequence[int] = (32,)
    type: int = 0
    offset: int = 0

    def encode(self) -> bytes:
        dims = struct.pack(f"<I{len(self.dims)}Q", len(self.dims), *self.dims)
        return string(self.name) + dims + struct.pack("<IQ", self.type, self.offset)


@dataclass
class Raw:
    """A small valid file as it stands; a test spoils one thing."""

    keys: list[bytes] = field(default_factory=lambda: [key("general.architecture", STRING, "llama")])
    tensors: list[RawTensor] = field(default_factory=list)
    data: bytes = b""
    magic: bytes = b"GGUF"
    version: int = 3
    key_count: int | None = None
    tensor_count: int | None = None
    alignment: int = 32

    def header(self) -> bytes:
        tensors = len(self.tensors) if self.tensor_count is None else self.tensor_count
        keys = len(self.keys) if self.key_count is None else self.key_count
        head = self.magic + struct.pack("<IQQ", self.version, tensors, keys)
        return head + b"".join(self.keys) + b"".join(tensor.encode() for tensor in self.tensors)

    def encode(self) -> bytes:
        header = self.header()
        return header + bytes(-len(header) % self.alignment) + self.data if self.tensors else header


def sample() -> Raw:
    """One of everything, and two tensors."""
    return Raw(
        keys=[
            key("general.architecture", STRING, "llama"),
            key("general.alignment", U32, 32),
            key("general.file_type", U32, 15),
            key("llama.block_count", U32, 2),
            key("a.flag", BOOL, True),
            key("a.float", F32, 0.5),
            key("a.double", F64, 1e300),
            key("a.negative", I8, -3),
            key("a.big", U64, 2**63),
            key("a.heads", ARRAY, (U32, [4, 2])),
            key("a.words", ARRAY, (STRING, ["one", "zwei", "三"])),
            key("a.nested", ARRAY, (ARRAY, [(U8, [1, 2]), (STRING, ["x"])])),
        ],
        tensors=[RawTensor("token_embd.weight", (8, 3), 0, 0), RawTensor("b", (32, 2), 8, 96)],
        data=bytes(96 + 68),
    )
