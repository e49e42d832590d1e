"""A small honest web server in threads, whose answers may break off, stall or lie on purpose."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass
class Ask:
    """One request, whole. `path` has its query; through a proxy it is a whole URL."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass
class Reply:
    """`cut`: the connection ends after so many bytes of the body, which was announced whole. `stall`: then nothing
    comes any more, until the server closes.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    stall: int | None = None


Handler = Callable[[Ask], Reply]


class Web:
    """Answers at `host` as the handler says; remembers what was asked."""

    def __init__(self, handler: Handler, certificate: Path | None = None) -> None:
        self.handler = handler
        self.asks: list[Ask] = []
        self.released = threading.Event()
        self.stalled = threading.Event()
        web = self

        class _Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                pass

            def handle(self) -> None:
                with contextlib.suppress(OSError):  # a client that left
                    super().handle()

            def _any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                ask = Ask(self.command, self.path, dict(self.headers.items()), body)
                web.asks.append(ask)
                self._reply(web.handler(ask))

            def _reply(self, reply: Reply) -> None:
                self.send_response(reply.status)
                chunked = "Transfer-Encoding" in reply.headers
                headers = {"Content-Length": str(len(reply.body)), **reply.headers}
                if chunked:
                    headers.pop("Content-Length")
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()
                body = b"" if self.command == "HEAD" else reply.body
                broken = reply.cut if reply.cut is not None else reply.stall
                sent = body if broken is None else body[:broken]
                self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(sent), sent) if chunked and sent else sent)
                self.wfile.flush()
                if reply.stall is not None:
                    web.stalled.set()
                    web.released.wait(60)
                if broken is not None:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815 - so the base class calls them

        class _Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # a client that left

        self._server = _Server(("127.0.0.1", 0), _Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    def asked(self, method: str, part: str = "") -> list[Ask]:
        return [ask for ask in self.asks if ask.method == method and part in ask.path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
