"""Just enough of tar, as a stream: headers written in the PAX form, and members read without trusting a byte.

The standard library's reader takes what a header says for granted and gathers extended headers of any length in
memory; here everything from outside has a limit, and whatever could reach outside a folder is refused by name.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from tropa.library.carry.errors import CannotImport

BLOCK = 512
CHUNK = 1 << 20
END = bytes(2 * BLOCK)
MEMBERS_LIMIT = 100_000
_EXTENDED_LIMIT = 1 << 20
_NAME_LIMIT = 4096
_LARGEST = (1 << 63) - 1
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")

_REFUSED = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a device", b"4": "a device", b"6": "a named pipe",
    b"S": "a sparse file", b"M": "a part of a file", b"V": "a volume label", b"D": "a dump of a folder",
}  # fmt: skip


class Readable(Protocol):
    def read(self, count: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in the tar. `name` is relative, with no `.` or `..` in it."""

    name: str
    size: int


def header(name: str, size: int) -> bytes:
    """What stands before a file's bytes. Nothing of this machine is in it: no user, no time."""
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


def padding(size: int) -> bytes:
    """What stands behind a file's bytes."""
    return bytes(-size % BLOCK)


class Tar:
    """The files of a tar, in order. Of the one at hand, what is not read is passed over."""

    def __init__(self, file: Readable, skip: Callable[[int], object] | None = None) -> None:
        """`skip` moves on in the file by so many bytes, where that is quicker than reading them."""
        self._file = file
        self._skip = skip
        self._left = 0  # content not read yet
        self._pad = 0
        self._name = ""
        self._long: dict[str, str] = {}  # what extended headers say about the next member

    def members(self) -> Iterator[Member]:
        """Raises CannotImport at the first thing that cannot be, or that nobody should put into a model's file."""
        count = 0
        while (block := self._next_header(first=count == 0)) is not None:
            count += 1
            if count > MEMBERS_LIMIT:
                raise CannotImport(f"the tar has more than {MEMBERS_LIMIT} members")
            size, kind = self._size(block), block[156:157]
            if kind in (b"x", b"g", b"L", b"K"):
                self._extended(kind, size)
                continue
            name = _checked(self._long.get("path") or _name(block))
            if "size" in self._long:
                size = _decimal(self._long["size"])
            self._long = {}
            self._name = name
            if kind in _REFUSED:
                raise CannotImport(
                    f'the tar holds {_REFUSED[kind]}, "{name}": an image layout has only files'
                )
            if kind == b"5":
                size = 0  # a folder has no content, whatever it says
            elif kind not in (b"0", b"\0", b"7"):
                raise CannotImport(f'the tar member "{name}" is of the unknown type {kind!r}')
            self._left, self._pad = size, -size % BLOCK
            if kind != b"5" and not name.endswith("/"):
                yield Member(name, size)

    def read(self) -> bytes:
        """The content of the member at hand. The caller has looked at its size."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        while self._left:
            chunk = self._take(min(CHUNK, self._left))
            if not chunk:
                raise CannotImport(f'the tar ends in the middle of "{self._name}": it was cut off')
            self._left -= len(chunk)
            yield chunk

    def _next_header(self, *, first: bool) -> bytes | None:
        """None at the end of the archive, marked or not."""
        self._pass_over()
        block = self._exactly(BLOCK)
        if not block and first:
            raise CannotImport("the file is empty")
        if not block or (block == bytes(BLOCK) and not first):
            if self._long:
                raise CannotImport("the tar ends after an extended header: it was cut off")
            while self._skip is None and self._take(CHUNK):
                pass  # whoever sends it is to come to its end, and not to be told that nobody listens
            return None
        if len(block) < BLOCK and not first:
            raise CannotImport("the tar ends in the middle of a header: it was cut off")
        if len(block) < BLOCK or _number(block[148:156]) != sum(block[:148]) + 8 * 32 + sum(block[156:]):
            raise CannotImport(
                "this is no tar file"
                if first
                else f'the tar is damaged behind "{self._name}": no header follows'
            )
        return block

    def _pass_over(self) -> None:
        if self._skip is not None and self._left > CHUNK:
            self._skip(self._left - 1)  # the last byte has to be there
            self._left = 1
        for _ in self.chunks():
            pass
        if len(self._exactly(self._pad)) < self._pad:
            raise CannotImport(f'the tar ends behind "{self._name}": it was cut off')
        self._pad = 0

    def _size(self, block: bytes) -> int:
        size = _number(block[124:136])
        if size is None or size > _LARGEST:
            raise CannotImport(f'the tar is damaged: "{_shown(_name(block))}" has no possible size')
        return size

    def _extended(self, kind: bytes, size: int) -> None:
        if size > _EXTENDED_LIMIT:
            raise CannotImport(
                f"the tar has an extended header of {size} bytes, at most {_EXTENDED_LIMIT} are read"
            )
        self._left, self._pad, self._name = size, -size % BLOCK, "an extended header"
        data = self.read()
        if kind == b"L":
            self._long["path"] = data.rstrip(b"\0").decode("utf-8", "replace")
        elif kind == b"x":
            self._long |= _records(data)

    def _exactly(self, count: int) -> bytes:
        """Fewer only at the end of the file."""
        data = b""
        while len(data) < count and (more := self._take(count - len(data))):
            data += more
        return data

    def _take(self, count: int) -> bytes:
        return self._file.read(count) or b""


def _name(block: bytes) -> str:
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and (prefix := block[345:500].split(b"\0", 1)[0]):
        name = prefix + b"/" + name
    return name.decode("utf-8", "replace")


def _checked(name: str) -> str:
    """The name without a leading `./`. Whatever could mean a place outside is refused."""
    if len(name) > _NAME_LIMIT:
        raise CannotImport(f'the name of a tar member has {len(name)} characters: "{_shown(name)}"')
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name or "\0" in name or ":" in parts[0]:
        raise CannotImport(f'the tar member "{_shown(name)}" would lie outside: refused')
    folders = "".join(f"{part}/" for part in parts[:-1] if part not in ("", "."))
    return folders + ("" if parts[-1] == "." else parts[-1])


def _shown(name: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in name[:100])


def _number(field: bytes) -> int | None:
    """Octal digits, or base 256 for what is larger; None if it is neither or below zero."""
    if field[0] & 0x80:
        return None if field[0] & 0x40 else int.from_bytes(bytes([field[0] & 0x3F]) + field[1:], "big")
    match = _OCTAL.fullmatch(field)
    return None if match is None else int(match[1] or b"0", 8)


def _decimal(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII) or int(text) > _LARGEST:
        raise CannotImport(f"the tar is damaged: an extended header gives the size {_shown(text)!r}")
    return int(text)


def _records(data: bytes) -> dict[str, str]:
    """`<length> <key>=<value>\\n`, again and again. Only path and size matter here."""
    found: dict[str, str] = {}
    while data:
        digits, _, _ = data.partition(b" ")
        length = int(digits) if re.fullmatch(rb"[0-9]{1,8}", digits) else 0
        record = data[len(digits) + 1 : length]
        key, equals, value = record.partition(b"=")
        if not equals or not record.endswith(b"\n") or length > len(data):
            raise CannotImport("the tar is damaged: an extended header cannot be read")
        if key.startswith(b"GNU.sparse."):
            raise CannotImport("the tar holds a sparse file: an image layout has only plain ones")
        if key in (b"path", b"size"):
            found[key.decode()] = value[:-1].decode("utf-8", "replace")
        data = data[length:]
    return found
