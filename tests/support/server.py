"""A real server, in a process of its own on a free port, and a plain HTTP client that hides nothing."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.support.processes import descendants, gone, patience, until

PATIENCE = 60.0  # seconds that any one answer may take


@dataclass(frozen=True)
class Answer:
    """One whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The text of an error answer; that there is nothing else in it is asserted."""
        fields = self.json
        assert [*fields] == ["error"], fields
        text = fields["error"]
        assert isinstance(text, str)
        return text

    @property
    def lines(self) -> list[Any]:
        """The records of a stream: one JSON object per line, each line ended."""
        assert self.body.endswith(b"\n"), self.body[-80:]
        return [json.loads(line) for line in self.body[:-1].split(b"\n")]


@dataclass
class Server:
    """A server that answers. `close` ends it."""

    process: subprocess.Popen[bytes]
    port: int
    models: Path
    log: Path
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """`body`: bytes are sent as they are, anything else as JSON."""
        with self.asking(method, path, body, headers) as connection:
            return whole(connection)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", path, None, headers)

    def post(self, path: str, body: Any = None, **fields: Any) -> Answer:
        """Fields of the JSON body may be given by name."""
        return self.request("POST", path, fields if body is None else body)

    @contextmanager
    def asking(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[http.client.HTTPConnection]:
        """A connection over which the request was sent. Leaving the block closes it, answered or not."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=patience(PATIENCE))
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, raw, dict(headers or {}))
            yield connection
        finally:
            connection.close()

    @contextmanager
    def stream(self, path: str, **fields: Any) -> Iterator[Iterator[Any]]:
        """Records as they come."""
        with self.asking("POST", path, fields) as connection:
            response = connection.getresponse()
            assert response.status == 200, response.read()
            yield (json.loads(line) for line in iter(response.readline, b""))

    def ps(self) -> dict[str, Any]:
        """The loaded models, by name."""
        return {entry["name"]: entry for entry in self.get("/api/ps").json["models"]}

    def busy(self, name: str) -> int:
        """How many slots of a model work. A model that is not loaded has none."""
        entry = self.ps().get(name)
        return int(entry["slots_busy"]) if entry else 0

    def upload(self, path: Path) -> str:
        """Give the server a file; its digest."""
        data = path.read_bytes()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert self.post(f"/api/blobs/{digest}", data).status in (200, 201)
        return digest

    def create(self, name: str, path: Path, **fields: Any) -> None:
        """Register a GGUF file."""
        files = {path.name: self.upload(path)}
        answer = self.post("/api/create", model=name, files=files, **fields)
        assert answer.lines[-1] == {"status": "success"}, answer.lines[-1]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def children(self) -> set[psutil.Process]:
        return descendants(self.process.pid)

    def wait(self, within: float = 30.0) -> int:
        """Until the process ends by itself; its exit status."""
        return self.process.wait(patience(within))

    def close(self) -> None:
        """End the server as a user does, and see that nothing of it is left."""
        children = self.children()
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            self.wait()
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"SIGTERM did not end the server:\n{self.log.read_text()}") from None
        finally:
            left = {child for child in children if not gone(child, within=2.0)}
            for child in left:
                child.kill()
        assert not left, f"outlived their server: {left}"
        assert "this is a bug" not in self.log.read_text(), self.log.read_text()


def whole(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())  # type: ignore[arg-type] # reads as a mapping


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def launch(folder: Path, **environ: str) -> Server:
    """Start `tropa serve`, with this in its environment, without waiting for it."""
    port = free_port()
    models = Path(environ.get("OLLAMA_MODELS", str(folder / "models")))
    log = folder / "server.log"
    settings = {"OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_MODELS": str(models), **environ}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "tropa", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            env=os.environ | settings,
        )
    return Server(process, port, models, log)


@contextmanager
def serving(folder: Path, **environ: str) -> Iterator[Server]:
    """A server that is ready, until the block ends."""
    server = launch(folder, **environ)
    try:
        until(lambda: answers(server), "the server answers", within=20)
        yield server
    finally:
        server.close()


def answers(server: Server) -> bool:
    """Whether it is ready yet. A server that ended instead is an error."""
    assert server.process.poll() is None, f"the server ended:\n{server.log.read_text()}"
    try:
        return server.get("/").status == 200
    except OSError:
        return False
