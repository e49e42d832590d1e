"""Answers: one JSON object, or a stream of lines, and the watch for clients that leave.

A client's leaving is noticed when it happens, not at the next write: prompt processing can be silent for long.
The work is cancelled then, which closes the engine's connection and frees the slot.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

import msgspec
from starlette.types import Receive, Scope, Send

from tropa.errors import TropaError
from tropa.server.body import BadRequest
from tropa.server.errors import status_of, text_of

log = logging.getLogger("tropa.server")

JSON = b"application/json; charset=utf-8"
NDJSON = b"application/x-ndjson"
encode_json = msgspec.json.encode
T = TypeVar("T")

Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class ClientGone(Exception):
    """The client closed its connection: there is nobody to answer."""


async def read_body(receive: Receive, limit: int | None = None) -> bytes:
    """The whole request body. Raises ClientGone, and BadRequest for more than `limit` bytes."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        if chunk := message.get("body", b""):
            size += len(chunk)
            if limit is not None and size > limit:
                raise BadRequest(f"the request body is larger than {limit} bytes")
            chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Do `work`, and cancel it when the client leaves (then raises ClientGone). The body was read before."""
    task = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return await task
    finally:
        leaving.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()  # seen: the client that should have heard of it has gone
        # An error knows this frame by its traceback, and the task the error: what the request held, megabytes perhaps,
        # would stay until the garbage is collected.
        del task, leaving


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_json(send: Send, value: Any, status: int = 200, content_type: bytes = JSON) -> None:
    """One JSON object."""
    await send_bytes(send, encode_json(value), status, content_type)


async def send_bytes(
    send: Send, body: bytes, status: int = 200, content_type: bytes = JSON, *more: tuple[bytes, bytes]
) -> None:
    """A whole body, and `more` headers."""
    headers = [(b"content-type", content_type), (b"content-length", str(len(body)).encode()), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_error(
    send: Send, error: TropaError, content_type: bytes = JSON, *more: tuple[bytes, bytes]
) -> None:
    """An error in the native envelope, and `more` headers."""
    await send_bytes(send, encode_json({"error": text_of(error)}), status_of(error), content_type, *more)


async def send_lines(send: Send, records: AsyncGenerator[bytes, None], *more: tuple[bytes, bytes]) -> None:
    """A stream of JSON lines, and `more` headers. An error before the first is a status; a later one travels as the
    last line."""
    async with aclosing(records):
        first = await anext(records, None)  # raises before any byte is sent
        headers = [(b"content-type", NDJSON), (b"x-accel-buffering", b"no"), (b"cache-control", b"no-cache")]
        headers += more
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            if first is not None:
                await send({"type": "http.response.body", "body": first, "more_body": True})
            async for record in records:
                await send({"type": "http.response.body", "body": record, "more_body": True})
        except TropaError as exc:
            line = encode_json({"error": text_of(exc, begun=True)}) + b"\n"
            await send({"type": "http.response.body", "body": line, "more_body": True})
        except Exception:
            log.exception("a stream failed: this is a bug")
            line = encode_json({"error": "internal error, check tropa server logs for details"}) + b"\n"
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
