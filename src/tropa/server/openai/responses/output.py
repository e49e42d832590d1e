"""Events of the service as the items of a response, and as the events of its stream.

One event is made for each token: what all of an item have in common is encoded once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import msgspec

from tropa.server.dialect import status_for, text_for
from tropa.server.openai.chunks import tokens
from tropa.server.openai.ids import new
from tropa.server.openai.responses.described import Described
from tropa.service.events import End, Event, Piece

_encode = msgspec.json.encode


class Output:
    """One response while it is made. Items follow each other: thoughts, words, calls, as the model says them."""

    def __init__(self, described: Described) -> None:
        self._described = described
        self._sequence = 0
        self._items: list[dict[str, Any]] = []
        self._kind = ""
        self._texts: list[str] = []
        self._logprobs: list[dict[str, Any]] = []
        self._head = self._tail = b""
        self._thoughts = 0

    async def frames(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[bytes, None]:
        """All events of a stream."""
        started = self._described.response("in_progress", [])
        yield self._event("response.created", response=started) + self._event(
            "response.in_progress", response=started
        )
        async for event in events:
            if said := self.feed(event):
                yield said

    def failed(self, error: Exception) -> bytes:
        """The last event of a stream in whose middle something went wrong."""
        code = "server_error" if status_for(error) >= 500 else "invalid_prompt"
        told = {"code": code, "message": text_for(error, begun=True)}
        said = self._close("incomplete")
        return said + self._event(
            "response.failed", response=self._described.response("failed", self._items, error=told)
        )

    def feed(self, event: Event) -> bytes:
        """Frames of one event; empty if it says nothing."""
        match event:
            case Piece():
                said = b""
                if event.thinking:
                    self._thoughts += 1
                    said += self._delta("reasoning", event.thinking)
                if event.text:
                    said += self._delta("message", event.text, event.logprobs)
                for call in event.tool_calls:
                    said += self._call(call)
                return said
            case End():
                # A model that says nothing leaves an empty message: clients look for one.
                said = b"" if self._items else self._open("message")
                said += self._close("incomplete" if event.reason == "length" else "completed")
                response = self.response(event)
                return said + self._event(f"response.{response['status']}", response=response)
            case _:
                return b""

    def response(self, end: End) -> dict[str, Any]:
        """The whole response, when all events were fed."""
        return self._described.ended(end, self._items, self._thoughts)

    def _event(self, kind: str, **payload: Any) -> bytes:
        data = _encode({"type": kind, "sequence_number": self._sequence, **payload})
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def _delta(self, kind: str, text: str, logprobs: tuple[dict[str, Any], ...] = ()) -> bytes:
        said = b"" if self._kind == kind else self._close() + self._open(kind)
        self._texts.append(text)
        more = b""
        if kind == "message":
            found = tokens(logprobs)
            self._logprobs += found
            more = b',"logprobs":' + _encode(found)
        said += b"".join((self._head, b"%d" % self._sequence, self._tail, _encode(text), more, b"}\n\n"))
        self._sequence += 1
        return said

    def _open(self, kind: str) -> bytes:
        self._kind, self._texts, self._logprobs = kind, [], []
        ident = new("rs_" if kind == "reasoning" else "msg_")
        where = {"item_id": ident, "output_index": len(self._items)}
        if kind == "reasoning":
            item: dict[str, Any] = {"id": ident, "type": "reasoning", "summary": []}
            self._where = where | {"summary_index": 0}
            part = {"type": "summary_text", "text": ""}
            name, added = "response.reasoning_summary_text.delta", "response.reasoning_summary_part.added"
        else:
            item = _message(ident, "in_progress", None, [])
            self._where = where | {"content_index": 0}
            part = _text("", [])
            name, added = "response.output_text.delta", "response.content_part.added"
        self._items.append(item)
        self._head = b'event: %b\ndata: {"type":"%b","sequence_number":' % (name.encode(), name.encode())
        self._tail = b"," + _encode(self._where)[1:-1] + b',"delta":'
        return self._event(
            "response.output_item.added", output_index=where["output_index"], item=item
        ) + self._event(added, **self._where, part=part)

    def _close(self, status: str = "completed") -> bytes:
        """Ends the open item, if there is one; what it became stands in the items then."""
        kind, self._kind = self._kind, ""
        if not kind:
            return b""
        text = "".join(self._texts)
        ident, index = self._items[-1]["id"], len(self._items) - 1
        if kind == "reasoning":
            part = {"type": "summary_text", "text": text}
            item = {"id": ident, "type": "reasoning", "summary": [part], "encrypted_content": text}
            said = self._event("response.reasoning_summary_text.done", **self._where, text=text)
            said += self._event("response.reasoning_summary_part.done", **self._where, part=part)
        else:
            item = _message(ident, status, text, self._logprobs)
            said = self._event("response.output_text.done", **self._where, text=text, logprobs=self._logprobs)
            said += self._event("response.content_part.done", **self._where, part=item["content"][0])
        self._items[-1] = item
        return said + self._event("response.output_item.done", output_index=index, item=item)

    def _call(self, call: dict[str, Any]) -> bytes:
        said = self._close()
        if call["function"]["name"] in self._described.custom:
            return said + self._custom_call(call)
        arguments = _encode(call["function"]["arguments"]).decode()
        ident, index = new("fc_"), len(self._items)
        item = {
            "id": ident,
            "type": "function_call",
            "status": "completed",
            "call_id": call.get("id") or new("call_"),
            **self._name(call),
            "arguments": arguments,
        }
        self._items.append(item)
        started = item | {"status": "in_progress", "arguments": ""}
        where = {"item_id": ident, "output_index": index}
        said += self._event("response.output_item.added", output_index=index, item=started)
        said += self._event("response.function_call_arguments.delta", **where, delta=arguments)
        said += self._event(
            "response.function_call_arguments.done", **where, name=item["name"], arguments=arguments
        )
        return said + self._event("response.output_item.done", output_index=index, item=item)

    def _name(self, call: dict[str, Any]) -> dict[str, str]:
        """As the client knows the tool."""
        name: str = call["function"]["name"]
        space, own = self._described.spaces.get(name, ("", name))
        return {"namespace": space, "name": own} if space else {"name": own}

    def _custom_call(self, call: dict[str, Any]) -> bytes:
        ident, index = new("ctc_"), len(self._items)
        text = call["function"]["arguments"].get("input", "")
        text = text if isinstance(text, str) else _encode(text).decode()
        item = {
            "id": ident,
            "type": "custom_tool_call",
            "status": "completed",
            "call_id": call.get("id") or new("call_"),
            **self._name(call),
            "input": text,
        }
        self._items.append(item)
        where = {"item_id": ident, "output_index": index}
        started = item | {"status": "in_progress", "input": ""}
        said = self._event("response.output_item.added", output_index=index, item=started)
        said += self._event("response.custom_tool_call_input.delta", **where, delta=text)
        said += self._event("response.custom_tool_call_input.done", **where, input=text)
        return said + self._event("response.output_item.done", output_index=index, item=item)


def _message(ident: str, status: str, text: str | None, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    content = [] if text is None else [_text(text, logprobs)]
    return {"id": ident, "type": "message", "status": status, "role": "assistant", "content": content}


def _text(text: str, logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}
