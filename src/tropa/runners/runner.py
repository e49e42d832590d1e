"""A loaded model: one engine process, known to be the one we started, and the way to talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

import msgspec

from tropa.engines.engine import Engine
from tropa.engines.launch import Launch
from tropa.runners.child import Child
from tropa.runners.complaint import complaint, ran_out_of_memory
from tropa.runners.errors import ContextExceeded, EngineRefused, LoadFailed, RunnerDied
from tropa.runners.exchange import ConnectionBroken, Lines, connect
from tropa.runners.reply import decode_failure

POLL_FIRST, POLL_MOST = 0.005, 0.1  # seconds between looks at a loading engine: a small model loads in 50 ms
CALL_LIMIT = 64 << 20  # bytes of an answer that is read whole


class Runner:
    """Speaks to one engine. Made by `load`; ends with `stop`, or by itself (`child.exited`)."""

    def __init__(self, launch: Launch, child: Child) -> None:
        self.launch = launch
        self.child = child
        self.last_heard = 0.0
        """When the engine last sent a byte of an answer, by the event loop's clock."""

    @classmethod
    async def load(
        cls,
        engine: Engine,
        launch: Launch,
        *,
        stall: float | None = None,
        on_line: Callable[[str], None] | None = None,
        on_start: Callable[[Child], None] | None = None,
    ) -> Runner:
        """Start a process and wait until it serves `launch`; `on_start` learns of it at once.

        `stall` seconds without a word from a loading engine end it (None: never). Raises LoadFailed; the
        process is gone by then, as it is after a cancellation.
        """
        try:
            child = await Child.start(engine.command(launch), on_line)
        except OSError as exc:
            raise LoadFailed(f"the engine {engine.name} cannot be started: {exc}") from exc
        if on_start:
            on_start(child)
        runner = cls(launch, child)
        try:
            await runner._until_ready(stall)
        except BaseException:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(child.kill())
            raise
        return runner

    async def stop(self) -> None:
        """Ask the process to end, insist, wait for it."""
        await self.child.stop()
        if self.launch.address.socket:
            self.launch.address.socket.unlink(missing_ok=True)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """One question, one JSON answer. Raises EngineRefused, ContextExceeded, RunnerDied."""
        status, content = await self._ask(method, path, body)
        if status >= 400:
            raise refusal(status, content)
        try:
            return msgspec.json.decode(content)
        except msgspec.DecodeError as exc:
            raise RunnerDied(f"the engine's answer to {path} is not JSON: {exc}") from exc

    async def stream(self, path: str, body: Any) -> AsyncGenerator[bytes, None]:
        """The JSON records of a streamed answer, as they come. Closing the generator frees the slot.

        Raises like `call`: a refusal before the first record, RunnerDied at any time.
        """
        try:
            now = asyncio.get_running_loop().time
            exchange = await connect(self.launch.address, "POST", path, body)
            try:
                status = await exchange.status()
                if status >= 400:
                    raise refusal(status, b"".join([chunk async for chunk in exchange.body()]))
                lines = Lines()
                async for chunk in exchange.body():
                    self.last_heard = now()
                    for line in lines.feed(chunk):
                        if line.startswith(b"data: "):
                            if line == b"data: [DONE]":
                                return
                            yield line[6:]
                        elif line.startswith(b"error: "):
                            yield b'{"error":' + line[7:] + b"}"
            finally:
                exchange.abort()
        except ConnectionBroken as exc:
            raise await self._broken(exc) from exc

    async def _ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        try:
            exchange = await connect(self.launch.address, method, path, body)
            try:
                status = await exchange.status()
                content = bytearray()
                async with aclosing(exchange.body()) as chunks:
                    async for chunk in chunks:
                        content += chunk
                        if len(content) > CALL_LIMIT:
                            raise ConnectionBroken(f"the engine's answer is longer than {CALL_LIMIT} bytes")
                return status, bytes(content)
            finally:
                exchange.abort()
        except ConnectionBroken as exc:
            raise await self._broken(exc) from exc

    async def _broken(self, exc: ConnectionBroken) -> RunnerDied:
        """Why a connection broke: if the process has just died, that is the news."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self.child.exited.wait()
        if self.child.status is None:
            return RunnerDied(str(exc))
        detail = complaint(self.child.lines)
        return RunnerDied(self.child.ending() + (f": {detail}" if detail else ""))

    async def _until_ready(self, stall: float | None) -> None:
        pause = POLL_FIRST
        while not await self._ready():
            if self.child.exited.is_set():
                detail = complaint(self.child.lines)
                raise LoadFailed(
                    f"llama-server process has terminated: {self.child.ending()}"
                    + (f": {detail}" if detail else ""),
                    out_of_memory=ran_out_of_memory(self.child.lines),
                )
            if stall is not None and time.monotonic() - self.child.last_output > stall:
                detail = complaint(self.child.lines) or next(reversed(self.child.lines), "")
                raise LoadFailed(f"timed out waiting for llama-server to start - {detail}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self.child.exited.wait()
            pause = min(pause * 1.5, POLL_MOST)

    async def _ready(self) -> bool:
        """True when the engine says that it has loaded, and is the one that we started."""
        if self.child.exited.is_set():
            return False
        try:
            async with asyncio.timeout(2.0):
                exchange = await connect(self.launch.address, "GET", "/v1/models")
                try:
                    if await exchange.status() != 200:  # 503 while it loads
                        return False
                    models = msgspec.json.decode(b"".join([chunk async for chunk in exchange.body()]))
                finally:
                    exchange.abort()
        except (ConnectionBroken, TimeoutError, msgspec.DecodeError):
            return False
        names = {str(entry.get("id")) for entry in models.get("data", []) if isinstance(entry, dict)}
        if self.launch.alias not in names:
            raise LoadFailed(f"something else than our engine answers at {self.launch.address}")
        return True


def refusal(status: int, content: bytes) -> EngineRefused | ContextExceeded:
    """An answer with an error status, as an error of ours."""
    try:
        fault = decode_failure(content).error
    except msgspec.DecodeError:
        return EngineRefused(content[:1000].decode(errors="replace") or f"HTTP status {status}", status)
    if fault.type == "exceed_context_size_error":
        return ContextExceeded(fault.n_prompt_tokens, fault.n_ctx)
    return EngineRefused(fault.message, status, fault.type)
