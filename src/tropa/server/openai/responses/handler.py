"""`POST /v1/responses`"""

from __future__ import annotations

from contextlib import aclosing

from starlette.types import Receive, Scope, Send

from tropa.server.dialect import peeked, truncated
from tropa.server.openai.responses.described import Described
from tropa.server.openai.responses.output import Output
from tropa.server.openai.responses.request import asked
from tropa.server.packed import unpacked
from tropa.server.reading import Fields, read
from tropa.server.respond import encode_json, send_bytes, while_connected
from tropa.server.sse import send_events
from tropa.service.asks import ChatAsk
from tropa.service.events import End
from tropa.service.service import Service


async def responses(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Items in, items out."""
    fields = read(await unpacked(scope, receive))
    ask = asked(fields, scope)
    await while_connected(receive, _answer(service, fields, ask, send))


async def _answer(service: Service, fields: Fields, ask: ChatAsk, send: Send) -> None:
    output = Output(Described(fields, ask))
    async with aclosing(service.chat(ask)) as events:
        if fields.flag("stream"):
            first, every = await peeked(events)
            await send_events(send, output.frames(every), output.failed, *truncated(first))
            return
        last = End("stop")
        async for event in events:
            output.feed(event)
            if isinstance(event, End):
                last = event
        answer = encode_json(output.response(last))
        await send_bytes(send, answer, 200, b"application/json", *truncated(last))
