"""Events of the service as blocks of content: a stream of events, or one message.

One event is made for each token: what all of a block have in common is encoded once.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Collection
from typing import Any

import msgspec

from tropa.server.explained import told
from tropa.service.events import End, Event, Piece

_encode = msgspec.json.encode

UNSIGNED = "unsigned"
"""Stands where Anthropic's servers sign thoughts. Clients send back only signed ones, and nobody here verifies."""


def named(event: str, payload: Any) -> bytes:
    """One frame."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), _encode(payload))


def message_id() -> str:
    return f"msg_{secrets.token_hex(12)}"


def stop(end: End, stops: Collection[str], *, called: bool) -> dict[str, Any]:
    """Why the answer ended. `stops` are the sequences that the client asked for: a model can have others of its own,
    which are how it ends its turn."""
    if end.reason == "length":
        return {"stop_reason": "max_tokens", "stop_sequence": None}
    if called:
        return {"stop_reason": "tool_use", "stop_sequence": None}
    if end.stopped_by in stops:
        return {"stop_reason": "stop_sequence", "stop_sequence": end.stopped_by}
    return {"stop_reason": "end_turn", "stop_sequence": None}


def usage(end: End) -> dict[str, Any]:
    """What it cost, in tokens. As everywhere in this dialect, `input_tokens` are those that no cache held."""
    counts = end.counts
    more = {"truncated": end.dropped} if end.dropped else {}  # beyond the dialect: nothing is cut in silence
    return {
        "input_tokens": counts.prompt_tokens - counts.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": counts.cached_tokens,
        "output_tokens": counts.tokens,
        **more,
    }


def tool_use(call: dict[str, Any]) -> dict[str, Any]:
    """A call, with an id of its own if the model's had none."""
    ident = call.get("id") or f"toolu_{secrets.token_hex(12)}"
    function = call["function"]
    return {"type": "tool_use", "id": ident, "name": function["name"], "input": function["arguments"]}


async def frames(
    model: str,
    stops: Collection[str],
    estimate: int,
    events: AsyncGenerator[Event, None],
    *,
    explain: bool = False,
) -> AsyncGenerator[bytes, None]:
    """All events of a stream. `estimate`: the prompt's tokens, as far as can be said before the real count is known
    at the end. A block is closed before the next opens. With `explain`, `message_delta` says where the time went."""
    message: dict[str, Any] = {
        "id": message_id(),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": estimate, "output_tokens": 0},
    }
    yield named("message_start", {"type": "message_start", "message": message}) + named(
        "ping", {"type": "ping"}
    )
    blocks = _Blocks(stops, explain)
    async for event in events:
        if said := blocks.feed(event):
            yield said


class _Blocks:
    """The open block, and what was before it."""

    def __init__(self, stops: Collection[str], explain: bool) -> None:
        self._stops = stops
        self._explain = explain
        self._index = -1
        self._open = ""
        self._head = b""
        self._called = False

    def feed(self, event: Event) -> bytes:
        """Frames of one event; empty if it says nothing."""
        match event:
            case Piece():
                said = b""
                if event.thinking:
                    said += self._delta("thinking", event.thinking)
                if event.text:
                    said += self._delta("text", event.text)
                for call in event.tool_calls:
                    said += self._call(call)
                return said
            case End():
                delta = {
                    "type": "message_delta",
                    "delta": stop(event, self._stops, called=self._called),
                    "usage": usage(event),
                    **told(self._explain),
                }
                return (
                    self._close()
                    + named("message_delta", delta)
                    + named("message_stop", {"type": "message_stop"})
                )
            case _:
                return b""

    def _delta(self, kind: str, text: str) -> bytes:
        said = b""
        if self._open != kind:
            said = self._close() + self._start(kind, {"type": kind, kind: ""})
            head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b",'
            self._head = head % (self._index, f"{kind}_delta".encode()) + f'"{kind}":'.encode()
        return said + self._head + _encode(text) + b"}}\n\n"

    def _call(self, call: dict[str, Any]) -> bytes:
        self._called = True
        block = tool_use(call)
        arguments = {"type": "input_json_delta", "partial_json": _encode(block["input"]).decode()}
        said = self._close() + self._start("tool_use", block | {"input": {}})
        return said + self._event(arguments) + self._close()

    def _start(self, kind: str, block: dict[str, Any]) -> bytes:
        self._index += 1
        self._open = kind
        return named(
            "content_block_start",
            {"type": "content_block_start", "index": self._index, "content_block": block},
        )

    def _event(self, delta: dict[str, Any]) -> bytes:
        return named(
            "content_block_delta", {"type": "content_block_delta", "index": self._index, "delta": delta}
        )

    def _close(self) -> bytes:
        if not self._open:
            return b""
        said = (
            self._event({"type": "signature_delta", "signature": UNSIGNED})
            if self._open == "thinking"
            else b""
        )
        self._open = ""
        return said + named("content_block_stop", {"type": "content_block_stop", "index": self._index})


async def whole(
    model: str, stops: Collection[str], events: AsyncGenerator[Event, None]
) -> tuple[dict[str, Any], End]:
    """One message with the same blocks as a stream has, and its end."""
    content: list[dict[str, Any]] = []
    last = End("stop")
    async for event in events:
        if isinstance(event, End):
            last = event
        elif isinstance(event, Piece):
            _append(content, "thinking", event.thinking)
            _append(content, "text", event.text)
            content.extend(map(tool_use, event.tool_calls))
    for block in content:
        if isinstance(parts := block.get(block["type"]), list):
            block[block["type"]] = "".join(parts)
    called = any(block["type"] == "tool_use" for block in content)
    message = {
        "id": message_id(),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        **stop(last, stops, called=called),
        "usage": usage(last),
    }
    return message, last


def _append(content: list[dict[str, Any]], kind: str, text: str) -> None:
    """To the last block, if it is of that kind. Texts are joined at the end."""
    if not text:
        return
    if not content or content[-1]["type"] != kind:
        signed = {"signature": UNSIGNED} if kind == "thinking" else {}
        content.append({"type": kind, kind: [], **signed})
    content[-1][kind].append(text)
