"""`POST /v1/completions`: text in, its continuation out."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from tropa.server.dialect import peeked, truncated
from tropa.server.explained import told, wanted
from tropa.server.openai import refused, sampling
from tropa.server.openai.choices import merged
from tropa.server.openai.chunks import DONE, debug, explained
from tropa.server.openai.errors import frame
from tropa.server.openai.ids import FINGERPRINT, new
from tropa.server.openai.usage import usage
from tropa.server.packed import unpacked
from tropa.server.reading import BadField, Fields, kind_of, read
from tropa.server.respond import send_bytes, while_connected
from tropa.server.sse import send_events
from tropa.service.asks import GenerateAsk
from tropa.service.events import End, Event, Piece, Rendered
from tropa.service.service import Service

JSON = b"application/json"
_encode = msgspec.json.encode


async def completions(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """One or more prompts, one or more answers to each; the choices of the first prompt come first."""
    fields = read(await unpacked(scope, receive))
    fields.refuse(refused.COMPLETION)
    each = sampling.choices(fields)
    prompts = _prompts(fields)
    if len(prompts) * each > sampling.MOST_CHOICES:
        raise BadField(
            fields.at("prompt"), f"asks for more than {sampling.MOST_CHOICES} choices in one request"
        )
    asks = [_asked(fields, scope, prompt) for prompt in prompts]
    asks = [
        replace(ask, options=sampling.seeded(dict(ask.options), number))
        for ask in asks
        for number in range(each)
    ]
    sampling.include_usage(fields)  # looked at also where it has no effect
    explain = wanted(scope, fields.flag("explain"))
    await while_connected(receive, _answer(service, fields, asks, each, explain, send))


def _prompts(fields: Fields) -> list[str]:
    value = fields.get("prompt")
    match value:
        case None:
            return [""]
        case str():
            return [value]
        case [] | [str(), *_] if all(isinstance(text, str) for text in value):
            return value or [""]
        case list() if all(isinstance(token, int | list) and not isinstance(token, bool) for token in value):
            raise BadField(fields.at("prompt"), "lists of tokens are not supported: send the text")
        case _:
            raise BadField(
                fields.at("prompt"), f"must be a string or a list of strings, not {kind_of(value)}"
            )


def _asked(fields: Fields, scope: Scope, prompt: str) -> GenerateAsk:
    fields.required_text("model")
    top = fields.integer("logprobs", 0, 20)
    if fields.flag("echo") and top is not None:
        raise BadField(
            fields.at("echo"), "can't be combined with 'logprobs': those of the prompt are not known"
        )
    return GenerateAsk(
        **sampling.common(fields, scope),
        prompt=prompt,
        suffix=fields.text("suffix") or "",
        system=fields.text("system") or "",
        raw=fields.flag("raw") or False,
        think=False,  # this dialect has no place for thoughts
        format=sampling.response_format(fields, "response_format"),
        logprobs=top is not None,
        top_logprobs=top or 0,
    )


async def _answer(
    service: Service, fields: Fields, asks: list[GenerateAsk], each: int, explain: bool, send: Send
) -> None:
    echoes = [ask.prompt if fields.flag("echo") else "" for ask in asks]
    model = asks[0].model
    async with aclosing(merged([service.generate(ask) for ask in asks])) as events:
        if fields.flag("stream"):
            (_, first), every = await peeked(events)
            frames = _frames(
                model, every, echoes, each, include_usage=sampling.include_usage(fields), explain=explain
            )
            await send_events(send, frames, frame, *truncated(first))
            return
        choices = [_Choice(echo) for echo in echoes]
        async for number, event in events:
            choices[number].add(event)
        answer = _head(model) | {
            "choices": [choice.made(number) for number, choice in enumerate(choices)],
            "usage": _usage([choice.end for choice in choices], each),
        }
        if rendered := choices[0].rendered:
            answer["_debug_info"] = debug(rendered)
        answer |= told(explain)
        await send_bytes(send, _encode(answer), 200, JSON, *truncated(choices[0].end))


def _head(model: str) -> dict[str, Any]:
    return {
        "id": new("cmpl-"),
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": FINGERPRINT,
    }


def _usage(ends: Sequence[End], each: int) -> dict[str, Any]:
    """Each prompt counts once, however many answers it has."""
    prompts = [usage(ends[start : start + each]) for start in range(0, len(ends), each)]
    total = dict(prompts[0])
    for other in prompts[1:]:
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            total[name] += other[name]
        total["prompt_tokens_details"] = {
            "cached_tokens": total["prompt_tokens_details"]["cached_tokens"]
            + other["prompt_tokens_details"]["cached_tokens"]
        }
    return total


async def _frames(
    model: str,
    events: AsyncGenerator[tuple[int, Event], None],
    echoes: Sequence[str],
    each: int,
    *,
    include_usage: bool,
    explain: bool,
) -> AsyncGenerator[bytes, None]:
    head = b"data: " + _encode(_head(model))[:-1]
    begun: set[int] = set()
    offsets = [0] * len(echoes)
    ends = [End("stop")] * len(echoes)
    left = len(echoes)
    async for number, event in events:
        text, more, reason, last = "", b"", b"null", b""
        match event:
            case Piece():
                text = event.text
                if event.logprobs:
                    more = b',"logprobs":' + _encode(_logprobs(event.logprobs, offsets[number]))
                    offsets[number] += sum(len(entry["token"]) for entry in event.logprobs)
                elif not text:
                    continue
            case End():
                ends[number] = event
                reason = b'"%s"' % finish(event).encode()
                left -= 1
                last = explained(explain and not left and not include_usage)
            case Rendered():
                more = b',"_debug_info":' + _encode(debug(event))
        if number not in begun:
            begun.add(number)
            text = echoes[number] + text
        choice = b',"choices":[{"text":%b,"index":%d%b,"finish_reason":%b}]%b}\n\n'
        yield head + choice % (_encode(text), number, more, reason, last)
    if include_usage:
        spent = b',"choices":[],"usage":' + _encode(_usage(ends, each))
        yield head + spent + explained(explain) + b"}\n\n"
    yield DONE


def finish(end: End) -> str:
    """Why the answer ended."""
    return "length" if end.reason == "length" else "stop"


def _logprobs(entries: Sequence[dict[str, Any]], offset: int) -> dict[str, Any]:
    """The older form: one list for each thing known. Offsets are characters of the answer."""
    offsets = []
    for entry in entries:
        offsets.append(offset)
        offset += len(entry["token"])
    tops = [
        {other["token"]: other["logprob"] for other in entry.get("top_logprobs", ())} for entry in entries
    ]
    return {
        "tokens": [entry["token"] for entry in entries],
        "token_logprobs": [entry["logprob"] for entry in entries],
        "top_logprobs": tops if any(tops) else None,
        "text_offset": offsets,
    }


class _Choice:
    """One answer, put together from its events."""

    def __init__(self, echo: str) -> None:
        self._text = [echo]
        self._logprobs: list[dict[str, Any]] = []
        self.end = End("stop")
        self.rendered: Rendered | None = None

    def add(self, event: Event) -> None:
        match event:
            case Piece():
                self._text.append(event.text)
                self._logprobs.extend(event.logprobs)
            case End():
                self.end = event
            case Rendered():
                self.rendered = event

    def made(self, number: int) -> dict[str, Any]:
        """The entry in `choices`."""
        choice: dict[str, Any] = {"text": "".join(self._text), "index": number}
        if self._logprobs:
            choice["logprobs"] = _logprobs(self._logprobs, 0)
        return {**choice, "finish_reason": finish(self.end)}
