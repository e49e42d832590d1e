"""Bytes in, whole lines out."""

from __future__ import annotations

from tropa.client.errors import ClientError

LIMIT = 8 << 20


class LineTooLong(ClientError):
    """A record longer than any that the API sends."""

    code = "line-too-long"

    def __init__(self, limit: int) -> None:
        super().__init__(f"the server sent a record of more than {limit} bytes")


class Lines:
    """Cuts at LF only: U+2028 and U+0085 are legal inside JSON text."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes, without their ends."""
        *whole, rest = chunk.split(b"\n")
        lines = []
        for part in whole:
            self._keep(part)
            lines.append(self.finish())
        self._keep(rest)
        return lines

    def finish(self) -> bytes:
        """What came after the last line end."""
        line = b"".join(self._parts)
        self._parts.clear()
        self._size = 0
        return line

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            raise LineTooLong(self._limit)
        if part:
            self._parts.append(part)
