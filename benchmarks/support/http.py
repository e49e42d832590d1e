"""A blocking HTTP request, over TCP or a UNIX socket: for what is asked between measurements."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

TIMEOUT = 60.0  # seconds


class NoAnswer(Exception):
    """The other side can't be reached, or broke off."""


class Refused(Exception):
    """An answer with an error status."""


def call(address: Path | int, method: str, path: str, body: Any = None, timeout: float = TIMEOUT) -> Any:
    """Ask at a UNIX socket's path or at a port of this machine. Raises NoAnswer, Refused."""
    connection = _Unix(address, timeout) if isinstance(address, Path) else _tcp(address, timeout)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as exc:
        raise NoAnswer(f"{method} {path} at {address}: {exc}") from exc
    finally:
        connection.close()
    if answer.status >= 400:
        raise Refused(f"{method} {path}: status {answer.status}: {content[:500].decode(errors='replace')}")
    return json.loads(content) if content.startswith((b"{", b"[")) else content.decode()


def _tcp(port: int, timeout: float) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
