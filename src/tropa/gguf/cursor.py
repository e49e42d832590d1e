"""A place in a file of untrusted bytes. It never goes beyond the end, and trusts no length unchecked."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from tropa.gguf import limits
from tropa.gguf.errors import AbsurdHeader, BadMetadata, CutShort

CHUNK = 1 << 20
U32 = struct.Struct("<I")
U64 = struct.Struct("<Q")


class Cursor:
    """Reads forward through the header of `file`, whose size is `size`, at most `limits.HEADER` bytes of it.

    `what` names what is being read; it ends up in the message when the bytes are not there.
    """

    __slots__ = ("_buffer", "_end", "_file", "_pos", "_start", "path", "size")

    def __init__(self, file: BinaryIO, size: int, path: Path, *, at: int = 0) -> None:
        self.path = path
        self.size = size
        self._file = file
        self._end = min(size, limits.HEADER)
        self._start = at
        self._buffer = b""
        self._pos = 0

    def tell(self) -> int:
        return self._start + self._pos

    @property
    def remaining(self) -> int:
        """How many bytes there may still be: no count of things that take a byte or more can be larger."""
        return max(0, self._end - self.tell())

    def u32(self, what: str) -> int:
        return int(self.unpack(U32, what)[0])

    def u64(self, what: str) -> int:
        return int(self.unpack(U64, what)[0])

    def unpack(self, form: struct.Struct, what: str) -> tuple[int | float, ...]:
        self._fill(form.size, what)
        values = form.unpack_from(self._buffer, self._pos)
        self._pos += form.size
        return values

    def take(self, count: int, what: str) -> bytes:
        """Exactly `count` bytes. The caller has bounded `count`; that they exist is checked before reading."""
        self._fill(count, what)
        taken = self._buffer[self._pos : self._pos + count]
        self._pos += count
        return taken

    def raw_string(self, what: str) -> bytes:
        length = self.u64(what)
        if length > limits.STRING:
            self._check(length, what)  # longer than the file is the plainer news
            raise AbsurdHeader(self.path, f"{what} is {length} bytes long; the limit is {limits.STRING}")
        return self.take(length, what)

    def string(self, what: str, *, lossy: bool = False) -> str:
        """Bytes that are no text are an error, or with `lossy` a replacement character."""
        raw = self.raw_string(what)
        try:
            return raw.decode("utf-8", "replace" if lossy else "strict")
        except UnicodeDecodeError as exc:
            why = f"{what} is not valid UTF-8 ({exc.reason} at byte {exc.start})"
            raise BadMetadata(self.path, why) from exc

    def skip(self, count: int, what: str) -> None:
        self._check(count, what)
        self._jump(self.tell() + count)

    def skip_strings(self, count: int, what: str) -> None:
        """Passes over `count` strings: the vocabulary, so this loop is the price of opening a model.

        Nothing in it asks where the buffer ends: who looks beyond is told so, once in a megabyte.
        """
        length_at = U64.unpack_from
        while count:
            self._fill(U64.size, what)
            buffer, pos, passed = self._buffer, self._pos, 0
            try:
                for passed in range(count):  # noqa: B007 - needed where the loop breaks off
                    pos += 8 + length_at(buffer, pos)[0]
            except (struct.error, OverflowError):
                count -= passed
            else:
                count = 0
            self.skip(pos - self._pos, what)

    def _fill(self, count: int, what: str) -> None:
        """Makes `count` bytes available in the buffer."""
        have = len(self._buffer) - self._pos
        if have >= count:
            return
        self._check(count, what)
        at = self.tell()
        want = min(max(count, CHUNK), self._end - at)
        self._file.seek(at)
        self._buffer = self._file.read(want)
        self._start, self._pos = at, 0
        if len(self._buffer) < count:  # it became shorter under our hands
            self._missing(count, len(self._buffer), what)

    def _jump(self, to: int) -> None:
        if self._start <= to <= self._start + len(self._buffer):
            self._pos = to - self._start
        else:
            self._start, self._pos, self._buffer = to, 0, b""

    def _check(self, count: int, what: str) -> None:
        at = self.tell()
        if at + count <= self._end:
            return
        if at + count <= self.size:
            raise AbsurdHeader(self.path, f"the header goes beyond {limits.HEADER} bytes (in {what})")
        self._missing(count, self.size - at, what)

    def _missing(self, count: int, left: int, what: str) -> None:
        need = f"{what} takes {count} bytes at offset {self.tell()}, {left} are left"
        raise CutShort(self.path, f"the file is cut short or damaged: {need}")
