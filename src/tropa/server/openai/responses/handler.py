"""`POST /v1/responses`"""

from __future__ import annotations

from contextlib import aclosing

from starlette.types import Receive, Scope, Send

from tropa.server.dialect import peeked, truncated
from tropa.server.explained import told, wanted
from tropa.server.openai.responses import toolbox
from tropa.server.openai.responses.described import Described
from tropa.server.openai.responses.errors import ResponseNotFound
from tropa.server.openai.responses.output import Output
from tropa.server.openai.responses.request import asked
from tropa.server.openai.responses.toolbox import Tools
from tropa.server.packed import unpacked
from tropa.server.reading import Fields, read
from tropa.server.respond import encode_json, send_bytes, while_connected
from tropa.server.sse import Header, send_events
from tropa.service.asks import ChatAsk
from tropa.service.events import End
from tropa.service.service import Service


async def responses(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Items in, items out."""
    fields = read(await unpacked(scope, receive))
    tools = toolbox.read(fields)
    ask = asked(fields, scope, tools)
    output = Output(Described(fields, ask, tools, explain=wanted(scope, fields.flag("explain"))))
    await while_connected(receive, _answer(service, fields, ask, output, _left_out(tools), send))


async def input_tokens(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """`POST /v1/responses/input_tokens`: how many tokens the prompt of a response would have. This loads the model,
    whose template and vocabulary alone know."""
    fields = read(await unpacked(scope, receive))
    explain = wanted(scope, fields.flag("explain"))
    tools = toolbox.read(fields)
    tokens = await while_connected(receive, service.count(asked(fields, scope, tools)))
    answer = {"object": "response.input_tokens", "input_tokens": tokens, **told(explain)}
    await send_bytes(send, encode_json(answer), 200, b"application/json", *_left_out(tools))


async def kept(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """A response by its id: there is none."""
    raise ResponseNotFound(scope["path_params"]["response"])


def _left_out(tools: Tools) -> list[Header]:
    """Says which kinds of tools the model was not told of."""
    return [(b"tropa-left-out", ", ".join(tools.left_out).encode())] if tools.left_out else []


async def _answer(
    service: Service, fields: Fields, ask: ChatAsk, output: Output, left_out: list[Header], send: Send
) -> None:
    async with aclosing(service.chat(ask)) as events:
        if fields.flag("stream"):
            first, every = await peeked(events)
            await send_events(send, output.frames(every), output.failed, *truncated(first), *left_out)
            return
        last = End("stop")
        async for event in events:
            output.feed(event)
            if isinstance(event, End):
                last = event
        answer = encode_json(output.response(last))
        await send_bytes(send, answer, 200, b"application/json", *truncated(last), *left_out)
