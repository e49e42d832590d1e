"""`/api/generate` and `/api/chat`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from starlette.types import Receive, Scope, Send

from tropa.server.explained import wanted
from tropa.server.native import records
from tropa.server.requests import decode
from tropa.server.respond import JSON, read_body, send_bytes, send_lines, while_connected
from tropa.service import keepalive
from tropa.service.asks import ChatAsk, GenerateAsk
from tropa.service.events import Dropped, End, Event, Rendered
from tropa.service.service import Service


def client_of(scope: Scope) -> str:
    """Who asks, for fairness among clients: their address."""
    client = scope.get("client")
    return client[0] if client else ""


async def generate(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/generate`"""
    fields = decode("GenerateRequest", await read_body(receive))
    stream = fields.pop("stream", True)
    explain = wanted(scope, fields.pop("explain", None))
    ask = GenerateAsk(
        prompt=fields.pop("prompt", ""),
        suffix=fields.pop("suffix", ""),
        system=fields.pop("system", ""),
        template=fields.pop("template", ""),
        context=fields.pop("context", None),
        raw=fields.pop("raw", False),
        images=fields.pop("images", ()),
        **_sampled(fields, scope),
    )
    await while_connected(
        receive,
        _answer(
            send,
            ask.model,
            service.generate(ask),
            stream,
            explain,
            records.generate,
            records.Collected.generate,
        ),
    )


async def chat(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /api/chat`"""
    fields = decode("ChatRequest", await read_body(receive))
    stream = fields.pop("stream", True)
    explain = wanted(scope, fields.pop("explain", None))
    ask = ChatAsk(
        messages=fields.pop("messages", ()), tools=fields.pop("tools", ()), **_sampled(fields, scope)
    )
    await while_connected(
        receive,
        _answer(send, ask.model, service.chat(ask), stream, explain, records.chat, records.Collected.chat),
    )


def _sampled(fields: dict[str, Any], scope: Scope) -> dict[str, Any]:
    """The fields that both have in common, under the names that the service gives them."""
    return {
        "model": fields.get("model", ""),
        "client": client_of(scope),
        "options": fields.get("options", {}),
        "keep_alive": keepalive.parse(fields.get("keep_alive")),
        "format": fields.get("format"),
        "think": fields.get("think"),
        "truncate": fields.get("truncate"),
        "shift": fields.get("shift"),
        "logprobs": fields.get("logprobs", False),
        "top_logprobs": fields.get("top_logprobs", 0),
        "render_only": fields.get("_debug_render_only", False),
    }


async def _answer(
    send: Send,
    model: str,
    events: AsyncGenerator[Event, None],
    stream: bool,
    explain: bool,
    encode: Callable[[str, Event, bool], bytes],
    whole: Callable[[records.Collected, str], bytes],
) -> None:
    async with aclosing(events):
        if stream:
            first = await anext(events)
            if not _stands_alone(first):
                lines = _records(model, first, events, explain, encode)
                await send_lines(send, lines, *_headers(records.dropped(first)))
                return
            await send_bytes(send, encode(model, first, explain))
            return
        collected = records.Collected(explain)
        async for event in events:
            collected.add(event)
        headers = _headers(collected.dropped)
        await send_bytes(send, whole(collected, model), 200, JSON, *headers)


def _headers(dropped: Dropped | None) -> list[tuple[bytes, bytes]]:
    """Says at once, before any token, what was left out of the prompt."""
    if dropped is None:
        return []
    return [(b"tropa-truncated", f"messages={dropped.messages}, tokens={dropped.tokens}".encode())]


def _stands_alone(event: Event) -> bool:
    """Answers that are one object even to a client that asked for a stream."""
    return isinstance(event, Rendered) or (isinstance(event, End) and event.reason in ("load", "unload"))


async def _records(
    model: str,
    first: Event,
    events: AsyncGenerator[Event, None],
    explain: bool,
    encode: Callable[[str, Event, bool], bytes],
) -> AsyncGenerator[bytes, None]:
    yield encode(model, first, explain) + b"\n"
    async for event in events:
        yield encode(model, event, explain) + b"\n"
