"""Asking a server and reading what it says, streamed or whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.server import Server

GREEDY = {"temperature": 0}
TOOL = {
    "type": "function",
    "function": {
        "name": "now",
        "description": "The time.",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
    },
}
CALL = {"index": 0, "name": "now", "arguments": {"zone": "UTC"}}


@dataclass(frozen=True)
class Said:
    """An answer put together from its stream."""

    pieces: list[str]
    thinking: str
    calls: list[dict[str, Any]]
    end: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def user(content: str, **fields: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **fields}


def chat(server: Server, model: str, content: str | list[dict[str, Any]], **fields: Any) -> Said:
    """Streamed; that the same comes whole to who wants no stream is asserted."""
    messages = content if isinstance(content, list) else [user(content)]
    return _ask(server, "/api/chat", {"model": model, "messages": messages, **fields})


def generate(server: Server, model: str, prompt: str, **fields: Any) -> Said:
    return _ask(server, "/api/generate", {"model": model, "prompt": prompt, **fields})


def rendered(server: Server, model: str, content: str | list[dict[str, Any]], **fields: Any) -> str:
    messages = content if isinstance(content, list) else [user(content)]
    body = {"model": model, "messages": messages, **fields, "_debug_render_only": True}
    return _rendered(server, "/api/chat", body)


def prompted(server: Server, model: str, prompt: str, **fields: Any) -> str:
    body = {"model": model, "prompt": prompt, **fields, "_debug_render_only": True}
    return _rendered(server, "/api/generate", body)


def _rendered(server: Server, path: str, body: dict[str, Any]) -> str:
    answer = server.post(path, body)
    assert answer.status == 200, answer.body
    text = answer.json["_debug_info"]["rendered_template"]
    assert isinstance(text, str)
    return text


def _ask(server: Server, path: str, body: dict[str, Any]) -> Said:
    body["options"] = GREEDY | body.get("options", {})
    answer = server.post(path, body)
    assert answer.status == 200, answer.body
    *records, end = answer.lines
    assert end["done"] is True, end
    parts = [_parts(record) for record in records]
    said = Said(
        pieces=[text for text, _, _ in parts if text],
        thinking="".join(thinking for _, thinking, _ in parts),
        calls=[call for _, _, calls in parts for call in calls],
        end=end,
        headers=answer.headers,
    )
    whole = server.post(path, body | {"stream": False})
    text, thinking, calls = _parts(whole.json)
    assert (text, thinking) == (said.text, said.thinking)
    assert [call["function"] for call in calls] == [call["function"] for call in said.calls]
    assert whole.json["done_reason"] == end["done_reason"]
    assert whole.headers.get("Tropa-Truncated") == answer.headers.get("Tropa-Truncated")
    return said


def _parts(record: dict[str, Any]) -> tuple[str, str, list[dict[str, Any]]]:
    if "message" in record:
        message = record["message"]
        return message["content"], message.get("thinking", ""), message.get("tool_calls", [])
    return record["response"], record.get("thinking", ""), []
