"""`POST /v1/chat/completions`"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from starlette.types import Receive, Scope, Send

from tropa.server.dialect import peeked, truncated
from tropa.server.explained import told, wanted
from tropa.server.openai import chunks, refused, sampling, tools
from tropa.server.openai.choices import merged
from tropa.server.openai.errors import frame
from tropa.server.openai.ids import FINGERPRINT, new
from tropa.server.openai.messages import conversation
from tropa.server.openai.usage import usage
from tropa.server.packed import unpacked
from tropa.server.reading import BadField, Fields, read
from tropa.server.respond import encode_json, send_bytes, while_connected
from tropa.server.sse import send_events
from tropa.service.asks import ChatAsk
from tropa.service.events import End, Event, Piece, Rendered
from tropa.service.service import Service

JSON = b"application/json"


async def completions(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """A conversation in, one or more next messages out."""
    fields = read(await unpacked(scope, receive))
    ask = asked(fields, scope)
    asks = [
        replace(ask, options=sampling.seeded(dict(ask.options), number))
        for number in range(sampling.choices(fields))
    ]
    sampling.include_usage(fields)  # looked at also where it has no effect
    explain = wanted(scope, fields.flag("explain"))
    await while_connected(receive, _answer(service, fields, asks, explain, send))


def asked(fields: Fields, scope: Scope) -> ChatAsk:
    """The request as the service knows it. Raises BadField."""
    fields.refuse(refused.CHAT)
    refused.modalities(fields)
    fields.required_text("model")
    top = fields.integer("top_logprobs", 0, 20) or 0
    wanted = fields.flag("logprobs") or False
    if top and not wanted:
        raise BadField(fields.at("top_logprobs"), "needs 'logprobs' to be true")
    return ChatAsk(
        **sampling.common(fields, scope),
        **tools.of_chat(fields).arguments,
        messages=conversation(fields),
        format=sampling.response_format(fields, "response_format"),
        think=sampling.effort(fields),
        logprobs=wanted,
        top_logprobs=top,
        parallel_tool_calls=fields.flag("parallel_tool_calls"),
    )


async def _answer(service: Service, fields: Fields, asks: list[ChatAsk], explain: bool, send: Send) -> None:
    model = asks[0].model
    async with aclosing(merged([service.chat(ask) for ask in asks])) as events:
        if fields.flag("stream"):
            made = chunks.Chunks(
                model, len(asks), include_usage=sampling.include_usage(fields), explain=explain
            )
            (_, first), every = await peeked(events)
            await send_events(send, made.frames(every), frame, *truncated(first))
            return
        choices = [_Choice() for _ in asks]
        async for number, event in events:
            choices[number].add(event)
    answer = encode_json(_whole(model, choices) | told(explain))
    await send_bytes(send, answer, 200, JSON, *truncated(choices[0].end))


def _whole(model: str, choices: Sequence[_Choice]) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "id": new("chatcmpl-"),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": FINGERPRINT,
        "choices": [choice.made(number) for number, choice in enumerate(choices)],
        "usage": usage(choice.end for choice in choices),
    }
    if rendered := choices[0].rendered:
        answer["_debug_info"] = chunks.debug(rendered)
    return answer


class _Choice:
    """One answer, put together from its events."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._logprobs: list[dict[str, Any]] = []
        self.end = End("stop")
        self.rendered: Rendered | None = None

    def add(self, event: Event) -> None:
        match event:
            case Piece():
                self._text.append(event.text)
                self._thinking.append(event.thinking)
                self._calls.extend(event.tool_calls)
                self._logprobs.extend(event.logprobs)
            case End():
                self.end = event
            case Rendered():
                self.rendered = event

    def made(self, number: int) -> dict[str, Any]:
        """The entry in `choices`."""
        if self.rendered:
            return {"index": number, "message": {"role": "", "content": ""}, "finish_reason": None}
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text)}
        if thinking := "".join(self._thinking):
            message |= {"reasoning": thinking, "reasoning_content": thinking}
        if self._calls:
            message["tool_calls"] = chunks.calls(self._calls, 0)
        choice: dict[str, Any] = {"index": number, "message": message}
        if self._logprobs:
            choice["logprobs"] = {"content": chunks.tokens(self._logprobs)}
        choice["finish_reason"] = chunks.finish(self.end, called=bool(self._calls))
        return choice
