"""Models come and go: pull and push. The work is done in threads of its own; here it is told as it happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec
from starlette.types import Receive, Scope, Send

from tropa.errors import TropaError
from tropa.library.library import Library
from tropa.library.name import InvalidName
from tropa.library.status import SUCCESS, Status
from tropa.server.requests import decode
from tropa.server.respond import read_body, send_bytes, send_error, send_lines, while_connected
from tropa.service.errors import InvalidRequest

if TYPE_CHECKING:
    from tropa.registry.leaving import Leaving
    from tropa.registry.registry import Registry

Steps = Callable[["Leaving"], Iterator[Status]]


class Transfers:
    """The registry client of a server, made when it is first needed: most servers start for other things."""

    def __init__(self, library: Library, streams: int | None = None) -> None:
        self._library = library
        self._streams = streams
        self._lock = threading.Lock()
        self._registry: Registry | None = None

    @property
    def registry(self) -> Registry:
        from tropa.registry.limits import Limits
        from tropa.registry.registry import Registry

        with self._lock:
            if self._registry is None:
                limits = Limits() if self._streams is None else Limits(streams=self._streams)
                self._registry = Registry(self._library, limits)
            return self._registry

    def base(self, text: str) -> Iterator[Status]:
        """Fetch what `create` is to start from. Its success is not the last word there."""
        return (status for status in self.registry.pull(text) if status != SUCCESS)

    def close(self) -> None:
        """The server stops. What is under way ends now, and resumes when it is asked for again."""
        with self._lock:
            if self._registry is not None:
                self._registry.close()


async def pull(transfers: Transfers, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/pull`. With `dry_run` it only says what would be fetched."""
    fields = decode("PullRequest", await read_body(receive))
    name, insecure = _name(fields), fields.get("insecure", False)
    if not name:
        raise InvalidName(name)
    # Only a transfer needs what this brings in.
    registry = await asyncio.to_thread(lambda: transfers.registry)
    work = registry.sizes if fields.get("dry_run", False) else registry.pull
    await _answer(
        send,
        receive,
        lambda leaving: work(name, insecure=insecure, leaving=leaving),
        fields.get("stream", True),
    )


async def push(transfers: Transfers, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/push`"""
    fields = decode("PushRequest", await read_body(receive))
    name, insecure = _name(fields), fields.get("insecure", False)
    if not name:
        raise InvalidRequest("model is required")
    registry = await asyncio.to_thread(lambda: transfers.registry)
    await _answer(
        send,
        receive,
        lambda leaving: registry.push(name, insecure=insecure, leaving=leaving),
        fields.get("stream", True),
    )


def _name(fields: dict[str, object]) -> str:
    return str(fields.get("model") or fields.get("name") or "").strip()


async def _answer(send: Send, receive: Receive, steps: Steps, stream: bool) -> None:
    try:
        await while_connected(receive, _tell(send, steps, stream))
    except TropaError as exc:  # before the first status, or without a stream
        await send_error(send, exc, b"application/json")


async def _tell(send: Send, steps: Steps, stream: bool) -> None:
    if stream:
        await send_lines(send, _lines(steps))
        return
    async with aclosing(in_thread(steps)) as statuses:
        async for _ in statuses:
            pass
    await send_bytes(send, msgspec.json.encode(SUCCESS), content_type=b"application/json")


async def _lines(steps: Steps) -> AsyncGenerator[bytes, None]:
    async with aclosing(in_thread(steps)) as statuses:
        async for status in statuses:
            yield msgspec.json.encode(status) + b"\n"


async def in_thread(steps: Steps) -> AsyncGenerator[Status, None]:
    """What `steps` yields in a thread of its own, which is told when nobody listens any more.

    A transfer waits for the network for minutes, so it must not take a place in the common pool of threads.
    """
    from tropa.registry.leaving import Leaving

    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Status | Exception | None] = asyncio.Queue()
    leaving = Leaving()

    def put(item: Status | Exception | None) -> None:
        try:
            loop.call_soon_threadsafe(queue.put_nowait, item)
        except RuntimeError:  # the server has ended
            leaving.leave()

    def work() -> None:
        try:
            for status in steps(leaving):
                put(status)
            put(None)
        except Exception as error:  # noqa: BLE001 - it is raised again where it is awaited
            put(error)

    threading.Thread(target=work, name="transfer", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        leaving.leave()
