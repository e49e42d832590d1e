"""`POST /v1/messages` and `/v1/messages/count_tokens`"""

from __future__ import annotations

from contextlib import aclosing

import msgspec
from starlette.types import Receive, Scope, Send

from tropa.server.anthropic import blocks
from tropa.server.anthropic.errors import frame
from tropa.server.anthropic.request import asked
from tropa.server.dialect import peeked, truncated
from tropa.server.explained import told, wanted
from tropa.server.packed import unpacked
from tropa.server.reading import Fields, read
from tropa.server.respond import send_bytes, send_json, while_connected
from tropa.server.sse import send_events
from tropa.service.asks import ChatAsk
from tropa.service.service import Service

JSON = b"application/json"


async def messages(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """A conversation in, the next message out."""
    body = await unpacked(scope, receive)
    fields = read(body)
    ask = asked(service, fields, scope)
    explain = wanted(scope, fields.flag("explain"))
    await while_connected(receive, _answer(service, fields, ask, explain, send))


async def _answer(service: Service, fields: Fields, ask: ChatAsk, explain: bool, send: Send) -> None:
    stops: list[str] = fields.texts("stop_sequences") or []
    async with aclosing(service.chat(ask)) as events:
        if fields.flag("stream"):
            first, every = await peeked(events)
            frames = blocks.frames(ask.model, stops, estimate(ask), every, explain=explain)
            await send_events(send, frames, frame, *truncated(first))
            return
        message, last = await blocks.whole(ask.model, stops, events)
    message |= told(explain)
    await send_bytes(send, msgspec.json.encode(message), 200, JSON, *truncated(last))


def estimate(ask: ChatAsk) -> int:
    """About how many tokens the prompt has: four bytes each, images apart. The real count comes at the end."""
    texts = [{**message, "images": None} for message in ask.messages]
    return max(1, len(msgspec.json.encode([texts, ask.tools])) // 4)


async def count_tokens(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """How many tokens a request's prompt has, counted by the model's own template and vocabulary: this loads it."""
    fields = read(await unpacked(scope, receive))
    explain = wanted(scope, fields.flag("explain"))
    ask = asked(service, fields, scope, counting=True)
    tokens = await while_connected(receive, service.count(ask))
    await send_json(send, {"input_tokens": tokens} | told(explain), content_type=JSON)
