"""A small honest HTTP server with canned replies, on a real socket. It remembers what it was asked."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True)
class Reply:
    """`stream` sends each piece as a chunk of its own. With `hold` there is no end: the client has to leave."""

    body: bytes = b""
    status: int = 200
    stream: tuple[bytes, ...] | None = None
    cut: bool = False  # end in the middle of the stream
    hold: bool = False


def as_json(value: object, status: int = 200) -> Reply:
    return Reply(json.dumps(value).encode(), status)


def error(text: str, status: int) -> Reply:
    return as_json({"error": text}, status)


def lines(*records: dict[str, Any], cut: bool = False, hold: bool = False) -> Reply:
    stream = tuple(json.dumps(record).encode() + b"\n" for record in records)
    return Reply(stream=stream, cut=cut, hold=hold)


@dataclass(slots=True)
class Asked:
    method: str
    path: str
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Fake:
    """`replies` by `METHOD /path` or `METHOD /folder/*`. `gone`: a client left before the end of its stream."""

    replies: dict[str, Reply | Callable[[Asked], Reply]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def bodies(self, path: str) -> list[Any]:
        return [each.json for each in self.asked if each.path == path]

    def sequence(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.asked]

    def answer(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        folder = asked.path.rpartition("/")[0]
        reply = self.replies.get(
            f"{asked.method} {asked.path}", self.replies.get(f"{asked.method} {folder}/*")
        )
        if callable(reply):
            return reply(asked)
        if reply is not None:
            return reply
        if (asked.method, asked.path) == ("HEAD", "/"):
            return Reply()
        return Reply(b"404 page not found", 404)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, fake: Fake) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake
        fake.port = self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A command that has its answer hangs up, perhaps before the last byte: no news, and not for the transcript."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        pass

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        asked = Asked(self.command, self.path, body, dict(self.headers))
        reply = self.server.fake.answer(asked)
        try:
            self._send(reply)
        except OSError:
            self.server.fake.gone.set()
            self.close_connection = True

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        if reply.stream is None:
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else reply.body)
            return
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in reply.stream:
            self._chunk(piece)
        if reply.hold:
            self.connection.settimeout(30)
            if self.connection.recv(1) == b"":
                self.server.fake.gone.set()
        if reply.cut or reply.hold:
            self.close_connection = True
            return
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self.wfile.flush()

    do_GET = do_POST = do_DELETE = do_HEAD = _handle  # noqa: N815 - names of the base class
