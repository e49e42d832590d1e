"""tokenizer.model: SentencePiece's protobuf, as far as the engine has use for it. Bytes are untrusted.

The message: field 1, repeated, is a piece (1 text, 2 score, 3 type); field 2 how it was trained (3 algorithm, 40-43 the
ids of unk, bos, eos, pad); field 3 what happens to text first (3 whether a blank is put in front).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn

from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.tokenizer.vocabulary import LARGEST, Type

BPE = 2
ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}


@dataclass
class Pieces:
    """What the file says. Ids are -1 where there is no such token."""

    tokens: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    algorithm: int = 1
    unk: int = 0
    bos: int = 1
    eos: int = 2
    pad: int = -1
    blank_in_front: bool = True


def read(data: bytes, file: str) -> Pieces:
    """Raises InvalidModelFolder, `file` being its name for the file."""
    found = Pieces()
    try:
        for number, value in _fields(data):
            if number == 1 and isinstance(value, bytes):
                _piece(found, value)
            elif number == 2 and isinstance(value, bytes):
                _training(found, value)
            elif number == 3 and isinstance(value, bytes):
                for inner, flag in _fields(value):
                    if inner == 3 and isinstance(flag, int):
                        found.blank_in_front = bool(flag)
    except (ValueError, IndexError, struct.error) as error:
        raise InvalidModelFolder(
            f"{file} is no SentencePiece model, or a damaged one: {error}",
            hint="a tokenizer.json can stand in its place",
        ) from error
    if not found.tokens:
        raise InvalidModelFolder(f"{file} is no SentencePiece model: it has no pieces")
    if len(found.tokens) > LARGEST:
        raise InvalidModelFolder(f"{file} has {len(found.tokens)} pieces; the limit is {LARGEST}")
    return found


def _piece(found: Pieces, data: bytes) -> None:
    text, score, kind = "", 0.0, int(Type.NORMAL)
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            text = value.decode()
        elif number == 2 and isinstance(value, float):
            score = value
        elif number == 3 and isinstance(value, int):
            kind = value
    found.tokens.append(text)
    found.scores.append(score)
    found.types.append(kind if kind in set(Type) else int(Type.NORMAL))


def _training(found: Pieces, data: bytes) -> None:
    names = {3: "algorithm", 40: "unk", 41: "bos", 42: "eos", 43: "pad"}
    for number, value in _fields(data):
        if number in names and isinstance(value, int):
            signed = value - (1 << 64) if value >= 1 << 63 else value
            setattr(found, names[number], signed)


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """The fields of a message. 32-bit ones are floats, as all of them are here."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        match tag & 7:
            case 0:
                value, at = _varint(data, at)
                yield tag >> 3, value
            case 1:
                at = _end(data, at, 8)
            case 2:
                length, at = _varint(data, at)
                end = _end(data, at, length)
                yield tag >> 3, data[at:end]
                at = end
            case 5:
                end = _end(data, at, 4)
                yield tag >> 3, struct.unpack_from("<f", data, at)[0]
                at = end
            case kind:
                _broken(f"a field of kind {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    return _broken("a number of more than ten bytes")


def _end(data: bytes, at: int, length: int) -> int:
    if length > len(data) - at:
        _broken("a field beyond the end")
    return at + length


def _broken(what: str) -> NoReturn:
    raise ValueError(what)
