"""The real engine in a child process, to see what it does with a file: `with running(launch) as engine: …`"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tropa.engines.launch import Address, Launch

HOST = """
import json, sys, threading, xllamacpp
from tropa.engines.guard import die_with_parent
from tropa.engines.host import parameters
if sys.platform == "linux":
    die_with_parent(int(sys.argv[1]))
params = parameters(json.loads(sys.argv[2]))
params.verbosity = 4  # the sizes of its buffers
server = xllamacpp.Server(params)
threading.Event().wait()
"""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=600)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass
class Engine:
    pid: int
    socket: Path
    log: Path

    def ask(self, path: str, body: object = None) -> Any:
        connection = _Connection(self.socket)
        try:
            connection.request(
                "GET" if body is None else "POST", path, None if body is None else json.dumps(body)
            )
            reply = connection.getresponse()
            text = reply.read()
        finally:
            connection.close()
        assert reply.status == 200, (reply.status, text[:500])
        return json.loads(text)


@contextmanager
def running(
    model: Path, *, context: int = 1024, slots: int = 1, threads: int = 2, **launch: Any
) -> Iterator[Engine]:
    """Until the block ends. Raises AssertionError with the engine's log if it does not come up."""
    with tempfile.TemporaryDirectory(prefix="tropa-") as folder:
        address = Address(socket=Path(folder) / "e.sock")
        told = Launch(model, address, "m", context, slots, threads, **launch)
        log = Path(folder) / "log"
        environment = {**os.environ, "GOMP_SPINCOUNT": "300"}
        with log.open("wb") as out:
            child = subprocess.Popen(
                [sys.executable, "-c", HOST, str(os.getpid()), json.dumps(told.to_json())],
                stdout=out,
                stderr=out,
                env=environment,
            )
        try:
            engine = Engine(child.pid, told.address.socket or Path(), log)
            _wait_until_ready(engine, child)
            yield engine
        finally:
            child.kill()
            child.wait()


def _wait_until_ready(engine: Engine, child: subprocess.Popen[bytes], limit: float = 120) -> None:
    end = time.monotonic() + limit
    while time.monotonic() < end:
        assert child.poll() is None, engine.log.read_text(errors="replace")[-4000:]
        try:
            engine.ask("/health")
        except (OSError, AssertionError, http.client.HTTPException):
            time.sleep(0.02)  # the engine tells nobody when it is ready
        else:
            return
    raise AssertionError(f"not ready in {limit} s: {engine.log.read_text(errors='replace')[-4000:]}")
