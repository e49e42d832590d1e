"""HTTP/1.1 over one socket: as much of it as it takes to send one request and read its answer.

The standard library's `http.client` would do, but brings the e-mail package and TLS along, which is half of the time
that `tropa ps` takes. Everything raises OSError when the connection fails, `Broken` among them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

_HEAD_LIMIT = 1 << 16
_PORTS = {"http": 80, "https": 443}


class NotHttp(Exception):
    """Something answers, but not in this protocol."""


class Broken(ConnectionError):
    """The answer ends, or makes no sense any more, in the middle."""


def connect(scheme: str, name: str, port: int, timeout: float) -> socket.socket:
    """A connection; `timeout` holds for each step of making it. Raises UnicodeError for what can be no name."""
    made = socket.create_connection((name, port), timeout)
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if scheme != "https":
            return made
        import ssl

        return ssl.create_default_context().wrap_socket(made, server_hostname=name)
    except BaseException:
        made.close()
        raise


def host_field(scheme: str, name: str, port: int) -> str:
    """What `Host:` says: the port only where it is not the scheme's own. Raises UnicodeError for no possible name."""
    if not name.isascii():
        name = name.encode("idna").decode()
    shown = f"[{name.partition('%')[0]}]" if ":" in name else name
    return shown if port == _PORTS[scheme] else f"{shown}:{port}"


def send(
    connection: socket.socket,
    method: str,
    target: str,
    fields: Mapping[str, str],
    body: bytes | Iterable[bytes] | None = None,
) -> None:
    """The request; whoever gives blocks says their Content-Length too. Raises ValueError for a target that is none."""
    if not (target.isascii() and target.isprintable()) or " " in target:
        raise ValueError(f"{target!r} is no path")
    everything = {**fields, "Connection": "close"}
    if isinstance(body, bytes):
        everything["Content-Length"] = str(len(body))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in everything.items())]
    head = "\r\n".join((*lines, "\r\n")).encode("latin-1")
    connection.sendall(head + body if isinstance(body, bytes) else head)
    if body is not None and not isinstance(body, bytes):
        for block in body:
            connection.sendall(block)


class Answer:
    """The answer to a request with `method`: `status` and `reason` at once, the body as it comes."""

    def __init__(self, connection: socket.socket, method: str) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")
        self.status, self.reason, fields = self._head()
        while 100 <= self.status < 200:  # an interim answer: the real one follows
            self.status, self.reason, fields = self._head()
        self._chunked = "chunked" in fields.get("transfer-encoding", "").lower()
        self._first = True
        self._left = self._length(method, fields)

    def read(self, most: int = 1 << 16) -> bytes:
        """What is there, at least a byte; nothing at the proper end."""
        if self._chunked and not self._left:
            self._left = self._next_chunk()
        if self._left == 0:
            return b""
        piece = self._file.read1(most if self._left is None else min(most, self._left))
        if self._left is None:  # it ends with the connection
            return piece
        if not piece:
            raise Broken("the server closed it")
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        self._file.close()
        self._connection.close()

    def _head(self) -> tuple[int, str, dict[str, str]]:
        line = self._file.readline(_HEAD_LIMIT)
        if not line:
            raise Broken("the server closed it")
        version, _, rest = line.decode("latin-1").rstrip("\r\n").partition(" ")
        status, _, reason = rest.strip().partition(" ")
        if not (version.startswith("HTTP/1.") and len(status) == 3 and status.isascii() and status.isdigit()):
            raise NotHttp(version)
        fields: dict[str, str] = {}
        left = _HEAD_LIMIT
        while line := self._line(left):
            left -= len(line)
            name, _, value = line.decode("latin-1").partition(":")
            fields[name.strip().lower()] = value.strip()
        return int(status), reason.strip(), fields

    def _line(self, limit: int = _HEAD_LIMIT) -> bytes:
        line = self._file.readline(max(limit, 1))
        if not line.endswith(b"\n"):
            raise Broken("the server closed it" if len(line) < limit else "the answer's head has no end")
        return line.rstrip(b"\r\n")

    def _length(self, method: str, fields: Mapping[str, str]) -> int | None:
        """Of the body, in bytes, or of what is known of it yet. None: it ends with the connection."""
        if method == "HEAD" or self.status in (204, 304):
            self._chunked = False
            return 0
        length = fields.get("content-length", "")
        if self._chunked:
            return 0
        if not length:
            return None
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            raise NotHttp("Content-Length")
        return int(length)

    def _next_chunk(self) -> int:
        """The size of the chunk that begins. After the last, which is empty, no other is looked for."""
        if not self._first and self._line():
            raise Broken("the answer's chunks do not fit together")
        self._first = False
        size = self._line().partition(b";")[0].strip()
        if not size or len(size) > 15 or size.strip(b"0123456789abcdefABCDEF"):
            raise Broken("the answer's chunks do not fit together")
        if length := int(size, 16):
            return length
        self._chunked = False
        while self._line():  # fields after the body mean nothing to us
            pass
        return 0
