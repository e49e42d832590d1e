"""A real `tropa serve`, watched through its log and its processes, and clients that ask it many things at once."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support import server as support
from tests.support.places import short_folder
from tests.support.processes import descendants, gone, patience, soon

ENDS_WITHIN = 20.0
ANSWERS_WITHIN = 60.0

Running = dict[str, dict[str, Any]]
"""What `ps` shows, by name without the tag."""


@dataclass(frozen=True)
class Server:
    """A running server, seen from outside."""

    it: support.Server

    @property
    def pid(self) -> int:
        return self.it.process.pid

    @property
    def log(self) -> list[str]:
        """What it has said so far."""
        return self.it.log.read_text(errors="replace").splitlines()

    def said(self, pattern: str, since: int = 0) -> list[str]:
        """The lines of the log in which `pattern` occurs, from line `since` on."""
        return [line for line in self.log[since:] if re.search(pattern, line)]

    async def says(self, pattern: str, since: int = 0) -> None:
        """Return when it has said so."""
        await soon(lambda: self.said(pattern, since), f"the log says {pattern!r}")

    def loads(self, model: str, since: int = 0) -> int:
        """How many loads of a model have begun."""
        return len(self.said(rf" loading {re.escape(model)}(:\S+)?: ", since))

    def engines(self) -> set[psutil.Process]:
        """Its engine processes, loading ones too."""
        return {each for each in descendants(self.pid) if _is_engine(each)}

    def folders(self) -> list[Path]:
        """What it has in the runtime folder, sockets included."""
        return sorted(_runtime().glob(f"{self.pid}-*/*"))

    @asynccontextmanager
    async def client(self, address: str = "127.0.0.1", buffer: int | None = None) -> AsyncIterator[Client]:
        """Somebody who asks from this address; all of 127.0.0.0/8 is this machine. `buffer`: bytes that the system
        takes in for it while it does not read."""
        small = [(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)] if buffer else None
        limits = httpx.Limits(max_connections=None)
        transport = httpx.AsyncHTTPTransport(local_address=address, limits=limits, socket_options=small)
        limit = patience(ANSWERS_WITHIN)
        async with httpx.AsyncClient(base_url=self.it.url, transport=transport, timeout=limit) as http:
            yield Client(http)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit status. No process of it is left then."""
        family = descendants(self.pid)
        self.it.signal(number)
        status = self.it.wait(ENDS_WITHIN)
        assert all(gone(each, within=2.0) for each in family)
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

    async def running(self) -> Running:
        answer = await self.http.get("/api/ps")
        return {entry["name"].removesuffix(":latest"): entry for entry in answer.json()["models"]}

    async def sees(self, condition: Callable[[Running], bool], what: str, within: float = 20.0) -> Running:
        """Look at what runs until `condition` holds of it; what was seen then."""
        end = time.monotonic() + patience(within)
        while not condition(running := await self.running()):
            assert time.monotonic() < end, f"waited {within} s for {what}; seen: {running}"
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


@contextmanager
def serving(**settings: str) -> Iterator[Server]:
    """A server with these variables set, which must end well and leave nothing."""
    with short_folder() as folder:
        try:
            with support.serving(folder, **settings) as it:
                server = Server(it)
                yield server
                if it.process.poll() is None:
                    assert server.end() == 0
                assert not list(_runtime().glob(f"{server.pid}-*")), "no folder, no socket"
                assert not server.said("CRITICAL|Traceback|this is a bug|internal error"), server.log
        except BaseException as exc:
            log = (folder / "server.log").read_text(errors="replace")
            exc.add_note("the server's log ends with:\n" + "\n".join(log.splitlines()[-60:]))
            raise


def _runtime() -> Path:
    return Path(os.environ["XDG_RUNTIME_DIR"]) / "tropa"


def _is_engine(process: psutil.Process) -> bool:
    try:
        line = process.cmdline()
    except psutil.Error:
        return False
    return "tropa.engines.host" in line or any(
        "llama_server" in word or "llama-server" in word for word in line
    )
