"""A loaded model: one engine process, known to be the one we started, and the way to talk to it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec

from tropa.engines.engine import Engine
from tropa.engines.launch import Launch
from tropa.runners.child import Child
from tropa.runners.complaint import complaint, last_words, ran_out_of_memory
from tropa.runners.errors import ContextExceeded, EngineRefused, LoadFailed, RunnerDied
from tropa.runners.exchange import CannotConnect, ConnectionBroken, Exchange, Kept, Lines, connect, request
from tropa.runners.reply import decode_failure, decode_models

POLL_FIRST, POLL_MOST = 0.005, 0.1  # seconds between looks at a loading engine: a small model loads in 50 ms
CALL_LIMIT = 64 << 20  # bytes of an answer that is read whole


class Runner:
    """Speaks to one engine. Made by `load`; ends with `stop`, or by itself (`child.exited`)."""

    def __init__(self, launch: Launch, child: Child) -> None:
        self.launch = launch
        self.child = child
        self.lost = asyncio.Event()
        """Set when a running engine can't be reached any more."""
        self.notes: dict[str, Any] = {}
        """Belongs to those who use the runner: what they asked it once and need not ask again."""
        self._exchanges: set[Exchange] = set()
        self._kept = Kept()
        self._last_heard = 0.0

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
        runner = cls(launch, child)
        try:
            if on_start:
                on_start(child)
            await runner._until_ready(stall)
            child.unhurried()
        except BaseException:
            killing = asyncio.ensure_future(runner._kill())
            while not killing.done():  # whoever is in a hurry: it takes milliseconds, and then it is true
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.shield(killing)
            raise
        return runner

    async def stop(self) -> None:
        """Ask the process to end, insist, wait for it."""
        self._kept.close()
        await self.child.stop()
        self._clear_address()

    def silence(self) -> float:
        """Seconds for which somebody has waited for a word of the engine and it said none to anybody."""
        waiting = [each.waiting_since for each in self._exchanges if each.waiting_since is not None]
        if not waiting:
            return 0.0
        return asyncio.get_running_loop().time() - max(self._last_heard, min(waiting))

    async def call(
        self, method: str, path: str, body: Any = None, decode: Callable[[bytes], Any] = msgspec.json.decode
    ) -> Any:
        """One question, one JSON answer. Raises EngineRefused, ContextExceeded, RunnerDied."""
        status, content = await self._ask(method, path, body)
        if status >= 400:
            raise refusal(status, content)
        try:
            return decode(content)
        except msgspec.DecodeError as exc:
            raise RunnerDied(f"the engine's answer to {path} is not what it should be: {exc}") from exc

    async def stream(self, path: str, body: Any) -> AsyncGenerator[bytes, None]:
        """The JSON records of a streamed answer, as they come. Closing the generator frees the slot.

        Raises like `call`: a refusal before the first record, RunnerDied at any time.
        """
        try:
            now = asyncio.get_running_loop().time
            async with self._exchange("POST", path, body) as exchange:
                status = await exchange.status()
                async with aclosing(exchange.body()) as chunks:
                    if status >= 400:
                        raise refusal(status, b"".join([chunk async for chunk in chunks]))
                    lines = Lines()
                    async for chunk in chunks:
                        self._last_heard = now()
                        for line in lines.feed(chunk):
                            if line.startswith(b"data: "):
                                if line == b"data: [DONE]":
                                    return
                                yield line[6:]
                            elif line.startswith(b"error: "):
                                yield b'{"error":' + line[7:] + b"}"
        except ConnectionBroken as exc:
            raise await self._broken(exc) from exc

    async def _ask(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        asked = request(self.launch.address, method, path, body, keep=True)
        try:
            if (kept := self._kept.take()) is not None:
                kept.again(asked)
                with contextlib.suppress(
                    ConnectionBroken
                ):  # it had gone; no question of ours changes anything
                    return await self._answer(kept)
            return await self._answer(await connect(self.launch.address, asked))
        except ConnectionBroken as exc:
            raise await self._broken(exc) from exc

    async def _answer(self, exchange: Exchange) -> tuple[int, bytes]:
        """The whole answer. The connection is kept if it can be, and closed if the asker leaves."""
        self._exchanges.add(exchange)
        try:
            status = await exchange.status()
            content = bytearray()
            async with aclosing(exchange.body()) as chunks:
                async for chunk in chunks:
                    content += chunk
                    if len(content) > CALL_LIMIT:
                        raise RunnerDied(f"the engine's answer is longer than {CALL_LIMIT} bytes")
            self._last_heard = asyncio.get_running_loop().time()
            return status, bytes(content)
        finally:
            self._exchanges.discard(exchange)
            self._kept.put(exchange)

    @asynccontextmanager
    async def _exchange(self, method: str, path: str, body: Any) -> AsyncIterator[Exchange]:
        exchange = await connect(self.launch.address, request(self.launch.address, method, path, body))
        self._exchanges.add(exchange)
        try:
            yield exchange
        finally:
            self._exchanges.discard(exchange)
            exchange.abort()

    async def _kill(self) -> None:
        self._kept.close()
        await self.child.kill()
        self._clear_address()

    def _clear_address(self) -> None:
        """An engine that was killed leaves its socket behind, and none can ever listen there again."""
        if self.launch.address.socket:
            self.launch.address.socket.unlink(missing_ok=True)

    async def _broken(self, exc: ConnectionBroken) -> RunnerDied:
        """Why a connection broke: if the process has just died, that is the news."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self.child.exited.wait()
        if self.child.status is None:
            if isinstance(
                exc, CannotConnect
            ):  # its socket was removed: it lives, and nobody can ever reach it
                self.lost.set()
            return RunnerDied(str(exc))
        detail = last_words(self.child.lines)
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
                detail = complaint(self.child.lines)
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
                asked = request(self.launch.address, "GET", "/v1/models")
                exchange = await connect(self.launch.address, asked)
                try:
                    if await exchange.status() != 200:  # 503 while it loads
                        return False
                    models = decode_models(b"".join([chunk async for chunk in exchange.body()]))
                finally:
                    exchange.abort()
        except (ConnectionBroken, TimeoutError):
            return False
        except msgspec.DecodeError as exc:
            raise LoadFailed(
                f"something else than an engine answers at {self.launch.address}: {exc}"
            ) from exc
        if self.launch.alias not in {entry.id for entry in models.data}:
            raise LoadFailed(f"something else than our engine answers at {self.launch.address}")
        return True


_WITHOUT_WORDS = {
    413: "the engine takes no request of more than 100 MiB, images and sounds of the whole chat included"
}


def refusal(status: int, content: bytes) -> EngineRefused | ContextExceeded:
    """An answer with an error status, as an error of ours."""
    try:
        fault = decode_failure(content).error
    except msgspec.DecodeError:
        text = content[:1000].decode(errors="replace")
        return EngineRefused(text or _WITHOUT_WORDS.get(status) or f"HTTP status {status}", status)
    if fault.type == "exceed_context_size_error":
        return ContextExceeded(fault.n_prompt_tokens, fault.n_ctx)
    return EngineRefused(fault.message, status, fault.type)
