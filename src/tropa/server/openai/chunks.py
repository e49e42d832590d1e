"""Events of the service as chunks of a streamed chat completion.

One chunk is made for each token: what all of them have in common is encoded once.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec

from tropa.server.explained import told
from tropa.server.openai.ids import FINGERPRINT, new
from tropa.server.openai.usage import usage
from tropa.service.events import End, Event, Piece, Rendered

_encode = msgspec.json.encode
DONE = b"data: [DONE]\n\n"


class Chunks:
    """The chunks of one request, with so many choices. With `explain`, the last one that is not bare usage, or the
    usage where it was asked for, says where the time went."""

    def __init__(
        self, model: str, choices: int = 1, *, include_usage: bool = False, explain: bool = False
    ) -> None:
        head = {
            "id": new("chatcmpl-"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": FINGERPRINT,
        }
        self._head = b"data: " + _encode(head)[:-1]
        self._choices = choices
        self._include_usage = include_usage
        self._explain = explain
        self._begun: set[int] = set()
        self._called: dict[int, int] = {}
        self._ends: dict[int, End] = {}

    async def frames(self, events: AsyncGenerator[tuple[int, Event], None]) -> AsyncGenerator[bytes, None]:
        """All frames of a stream, to its last word."""
        async for number, event in events:
            match event:
                case Piece():
                    yield self._piece(number, event)
                case End():
                    yield self._end(number, event)
                case Rendered():
                    yield self._frame(number, b'{"role":"","content":""}', None, _debug(event))
        if self._include_usage:
            spent = b',"choices":[],"usage":' + _encode(usage(self._ends.values()))
            yield self._head + spent + explained(self._explain) + b"}\n\n"
        yield DONE

    def _piece(self, number: int, piece: Piece) -> bytes:
        role = b""
        if number not in self._begun:
            self._begun.add(number)
            role = b'"role":"assistant",'
        logprobs = _encode({"content": tokens(piece.logprobs)}) if piece.logprobs else None
        if piece.thinking and (piece.text or piece.tool_calls):
            first = self._frame(
                number, b"{" + role + _thinking(piece.thinking) + b"}", None, logprobs=logprobs
            )
            role, logprobs = b"", None
        else:
            first = b""
            if piece.thinking:
                role += _thinking(piece.thinking) + b","
        delta = b"{" + role + b'"content":' + _encode(piece.text)
        if piece.tool_calls:
            start = self._called.get(number, 0)
            self._called[number] = start + len(piece.tool_calls)
            delta += b',"tool_calls":' + _encode(calls(piece.tool_calls, start))
        return first + self._frame(number, delta + b"}", None, logprobs=logprobs)

    def _end(self, number: int, end: End) -> bytes:
        self._ends[number] = end
        first = b""
        if number not in self._begun:
            self._begun.add(number)
            first = self._frame(number, b'{"role":"assistant","content":""}', None)
        last = len(self._ends) == self._choices and not self._include_usage
        more = explained(self._explain and last)
        return first + self._frame(number, b"{}", finish(end, called=number in self._called), more)

    def _frame(
        self, number: int, delta: bytes, reason: str | None, more: bytes = b"", logprobs: bytes | None = None
    ) -> bytes:
        return b"".join(
            (
                self._head,
                b',"choices":[{"index":%d,"delta":' % number,
                delta,
                b',"logprobs":' + logprobs if logprobs else b"",
                b',"finish_reason":"%s"}]' % reason.encode() if reason else b',"finish_reason":null}]',
                more,
                b"}\n\n",
            )
        )


def explained(explain: bool) -> bytes:
    """Where the time went, as a further key of a chunk."""
    return b"".join(b',"%b":%b' % (name.encode(), _encode(value)) for name, value in told(explain).items())


def _thinking(text: str) -> bytes:
    """Under both names that clients look for."""
    said = _encode(text)
    return b'"reasoning":' + said + b',"reasoning_content":' + said


def _debug(event: Rendered) -> bytes:
    return b',"_debug_info":' + _encode(debug(event))


def debug(event: Rendered) -> dict[str, Any]:
    """`_debug_info`: the prompt that would have been sent."""
    return {"rendered_template": event.prompt} | ({"image_count": event.images} if event.images else {})


def finish(end: End, *, called: bool) -> str:
    """Why the answer ended. Loads and unloads, which have none, ended as they should."""
    if end.reason == "length":
        return "length"
    return "tool_calls" if called else "stop"


def calls(found: Sequence[dict[str, Any]], start: int) -> list[dict[str, Any]]:
    """Tool calls, numbered from `start`, their arguments as JSON strings."""
    return [
        {
            "id": call.get("id") or new("call_"),
            "index": start + number,
            "type": "function",
            "function": {
                "name": call["function"]["name"],
                "arguments": _encode(call["function"]["arguments"]).decode(),
            },
        }
        for number, call in enumerate(found)
    ]


def tokens(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Log-probabilities with all the keys that this dialect's clients expect."""
    return [
        _token(entry) | {"top_logprobs": list(map(_token, entry.get("top_logprobs", ())))}
        for entry in entries
    ]


def _token(entry: dict[str, Any]) -> dict[str, Any]:
    text = entry["token"]
    return {"token": text, "logprob": entry["logprob"], "bytes": entry.get("bytes") or list(text.encode())}
