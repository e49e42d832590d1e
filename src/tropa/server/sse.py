"""Streams of server-sent events, as the OpenAI and Anthropic dialects send them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.types import Send

from tropa.errors import TropaError

log = logging.getLogger("tropa.server")

Header = tuple[bytes, bytes]
_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


async def send_events(
    send: Send,
    frames: AsyncGenerator[bytes, None],
    failed: Callable[[Exception], bytes],
    *more: Header,
) -> None:
    """Send frames, each with its closing blank line. An error before the first raises, so that it can be a status; a
    later one travels as the frame that `failed` makes of it."""
    async with aclosing(frames):
        first = await anext(frames, b"")
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *more]})
        try:
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for frame in frames:
                await send({"type": "http.response.body", "body": frame, "more_body": True})
        except Exception as exc:
            if not isinstance(exc, TropaError):
                log.exception("a stream failed: this is a bug")
            await send({"type": "http.response.body", "body": failed(exc), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
