"""A real `tropa serve` in a process of its own, and what a client asks of it.

Its log is read as it is written: the log and the answers are what tests wait for.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.processes import alive, descendants, patience, soon, until

ENDS_WITHIN = 20.0
ANSWERS_WITHIN = 60.0


@dataclass
class Server:
    """`log` grows while the server runs."""

    process: subprocess.Popen[bytes]
    port: int
    log: list[str] = field(default_factory=list)

    def said(self, pattern: str, since: int = 0) -> list[str]:
        """The lines of the log in which `pattern` occurs, from line `since` on."""
        return [line for line in self.log[since:] if re.search(pattern, line)]

    async def says(self, pattern: str, since: int = 0, times: int = 1) -> None:
        """Return when it has said so, `times` times."""
        await soon(lambda: len(self.said(pattern, since)) >= times, f"the log says {pattern!r} {times} times")

    def loads(self, model: str, since: int = 0) -> int:
        """How many loads of a model have begun."""
        return len(self.said(rf" loading {re.escape(model)}(:\S+)?: ", since))

    def engines(self) -> set[psutil.Process]:
        """Its engine processes, loading ones too."""
        return {each for each in descendants(self.process.pid) if _is_engine(each)}

    def folders(self) -> list[Path]:
        """What it has in the runtime folder, sockets included."""
        home = Path(os.environ["XDG_RUNTIME_DIR"]) / "tropa"
        return sorted(home.glob(f"{self.process.pid}-*/*"))

    @asynccontextmanager
    async def client(self, address: str = "127.0.0.1", buffer: int | None = None) -> AsyncIterator[Client]:
        """Somebody who asks from this address; all of 127.0.0.0/8 is this machine. `buffer`: bytes that the system
        takes in for it while it does not read."""
        small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)] if buffer else None
        limits = httpx.Limits(max_connections=None)
        transport = httpx.AsyncHTTPTransport(local_address=address, limits=limits, socket_options=small)
        base, limit = f"http://127.0.0.1:{self.port}", patience(ANSWERS_WITHIN)
        async with httpx.AsyncClient(base_url=base, transport=transport, timeout=limit) as http:
            yield Client(http)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait; the exit status. Nothing of it is left then."""
        family = descendants(self.process.pid)
        self.process.send_signal(number)
        try:
            status = self.process.wait(patience(ENDS_WITHIN))
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        for each in family:
            until(lambda each=each: not alive(each), f"process {each.pid} of the server ends", 2.0)  # type: ignore[misc]
        return status


@dataclass
class Client:
    """One who asks. `http` is for what the others have no word for."""

    http: httpx.AsyncClient

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.http.post(path, json=body)

    async def got(self, path: str, **body: Any) -> dict[str, Any]:
        """The answer, which must be one."""
        answer = await self.post(path, **body)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        found: dict[str, Any] = answer.json()
        assert "error" not in found, found
        return found

    async def refused(self, path: str, **body: Any) -> tuple[int, str]:
        """Status and text of an error."""
        answer = await self.post(path, **body)
        assert answer.status_code != 200, answer.text
        return answer.status_code, answer.json()["error"]

    async def chat(self, model: str, question: str, **options: Any) -> str:
        """What the model answers, at temperature 0."""
        messages = [{"role": "user", "content": question}]
        found = await self.got(
            "/api/chat", model=model, messages=messages, stream=False, options={"temperature": 0, **options}
        )
        answer: str = found["message"]["content"]
        return answer

    async def write(
        self, model: str, tokens: int, prompt: str = "ba be bi", **options: Any
    ) -> dict[str, Any]:
        """Have a random model write so many tokens."""
        told = {"temperature": 0, "num_predict": tokens, **options}
        return await self.got(
            "/api/generate", model=model, prompt=prompt, stream=False, raw=True, options=told
        )

    async def load(self, model: str, **options: Any) -> None:
        assert (await self.got("/api/generate", model=model, options=options))["done_reason"] == "load"

    async def unload(self, *models: str) -> None:
        """Return when they have left."""
        for model in models:
            found = await self.got("/api/generate", model=model, keep_alive=0)
            assert found["done_reason"] == "unload"
        await self.sees(lambda running: not running.keys() & set(models), f"{models} to leave")

    async def unload_all(self) -> None:
        await self.unload(*await self.running())

    async def running(self) -> dict[str, dict[str, Any]]:
        """The loaded models by name, without the tag."""
        answer = await self.http.get("/api/ps")
        return {entry["name"].removesuffix(":latest"): entry for entry in answer.json()["models"]}

    async def sees(self, condition: Any, what: str, within: float = 20.0) -> dict[str, dict[str, Any]]:
        """Look at what runs until `condition` holds of it; what was seen then."""
        end = _now() + patience(within)
        while not condition(running := await self.running()):
            assert _now() < end, f"waited {within} s for {what}; seen: {running}"
        return running

    async def plan(self, model: str, **body: Any) -> dict[str, Any]:
        return await self.got("/api/plan", model=model, **body)

    @asynccontextmanager
    async def holding(self, model: str, **body: Any) -> AsyncIterator[httpx.Response]:
        """A slot, with an answer in it that goes on for as long as nobody ends it. Begun when this is entered."""
        told = {
            "model": model,
            "prompt": "ba",
            "raw": True,
            "options": {"num_predict": 100_000, "temperature": 0},
        }
        async with self.http.stream("POST", "/api/generate", json={**told, **body}) as answer:
            assert answer.status_code == 200, await answer.aread()
            lines = answer.aiter_bytes()
            await anext(lines)
            yield answer
            await lines.aclose()  # type: ignore[attr-defined]  # it is a generator

    async def register(self, name: str, content: bytes) -> None:
        """Add a model as clients do: its bytes, then its name."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        sent = await self.http.post(f"/api/blobs/{digest}", content=content)
        assert sent.status_code == 201, sent.text
        made = await self.got("/api/create", model=name, files={f"{name}.gguf": digest}, stream=False)
        assert made == {"status": "success"}


@contextmanager
def serving(**settings: str) -> Iterator[Server]:
    """A server with these variables set, which must end well and leave nothing."""
    server = start(settings)
    try:
        until(lambda: server.said("listening on") or server.process.poll() is not None, "the server listens")
        assert server.process.poll() is None, server.log
        yield server
        if server.process.poll() is None:
            assert server.end() == 0
        assert_left_nothing(server)
        assert not server.said("CRITICAL|Traceback|this is a bug|internal error"), server.said(".")
    except BaseException as exc:
        exc.add_note("the server's log:\n" + "\n".join(server.log[-60:]))
        raise
    finally:
        if server.process.poll() is None:
            server.process.kill()
            server.process.wait()


def start(settings: Mapping[str, str]) -> Server:
    """Start it and return at once."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "tropa", "serve"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OLLAMA_HOST": f"127.0.0.1:{port}", **settings},
    )
    server = Server(process, port)
    threading.Thread(target=_read_log, args=(server,), daemon=True).start()
    return server


def assert_left_nothing(server: Server) -> None:
    """No socket, no record, no folder; that no process is left was seen when it ended."""
    home = Path(os.environ["XDG_RUNTIME_DIR"]) / "tropa"
    assert not list(home.glob(f"{server.process.pid}-*"))


def _read_log(server: Server) -> None:
    assert server.process.stderr
    with server.process.stderr as lines:
        for line in lines:
            server.log.append(line.decode(errors="replace").rstrip())


def _is_engine(process: psutil.Process) -> bool:
    try:
        line = process.cmdline()
    except psutil.Error:
        return False
    return "tropa.engines.host" in line or any(
        "llama_server" in word or "llama-server" in word for word in line
    )


def _now() -> float:
    return time.monotonic()
