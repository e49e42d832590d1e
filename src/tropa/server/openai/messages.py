"""Messages of a chat completion as native ones."""

from __future__ import annotations

from typing import Any

import msgspec

from tropa.server.openai.content import parts
from tropa.server.reading import BadField, Fields

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def conversation(fields: Fields) -> list[dict[str, Any]]:
    """`messages`, at least one of them."""
    found = fields.objects("messages")
    if not found:
        raise BadField(fields.at("messages"), "[] is too short: at least one message is required")
    names: dict[str, str] = {}
    return [_message(message, names) for message in found]


def _message(fields: Fields, names: dict[str, str]) -> dict[str, Any]:
    """`names` are the functions of the calls so far, by the call's id; this adds to them."""
    role = (fields.text("role") or "").lower()
    if role not in ROLES:
        raise BadField(
            fields.at("role"), f"must be one of {', '.join(ROLES)}" + (f', not "{role[:80]}"' if role else "")
        )
    text, images = parts(fields, "content", ("text", "refusal"), ("image_url",))
    message: dict[str, Any] = {"role": "system" if role == "developer" else role, "content": text}
    if images:
        message["images"] = images
    if role == "assistant":
        thinking = fields.text("reasoning") or fields.text("reasoning_content")
        if thinking:
            message["thinking"] = thinking
        if calls := [_call(call, names) for call in fields.objects("tool_calls")]:
            message["tool_calls"] = calls
        if "content" in fields or calls or thinking or "tool_calls" in fields or "refusal" in fields:
            return message
    if "content" not in fields:
        raise BadField(fields.at("content"), "is required: a string or a list of parts")
    if role in ("tool", "function"):
        ident = fields.text("tool_call_id")
        message["role"] = "tool"
        if name := fields.text("name") or names.get(ident or ""):
            message["tool_name"] = name
        if ident:
            message["tool_call_id"] = ident
    return message


def _call(fields: Fields, names: dict[str, str]) -> dict[str, Any]:
    fields.choice("type", ("function",))
    function = fields.object("function")
    if function is None:
        raise BadField(fields.at("function"), "is required")
    name = function.required_text("name")
    call: dict[str, Any] = {"function": {"name": name, "arguments": arguments(function, "arguments")}}
    if ident := fields.text("id"):
        call["id"] = ident
        names[ident] = name
    return call


def arguments(fields: Fields, name: str) -> dict[str, Any]:
    """The arguments of a call, an object written as a JSON string."""
    text = fields.text(name)
    if text is None or not text.strip():
        return {}
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise BadField(fields.at(name), f"invalid tool call arguments: not JSON ({exc})") from exc
    if not isinstance(value, dict):
        raise BadField(fields.at(name), "invalid tool call arguments: must be a JSON object")
    return Fields({"arguments": value}, fields.path).mapping("arguments") or {}
