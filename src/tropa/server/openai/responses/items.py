"""Input items of a response as native messages."""

from __future__ import annotations

from typing import Any

from tropa.server.openai.content import parts
from tropa.server.openai.messages import arguments
from tropa.server.reading import BadField, Fields, kind_of

ROLES = ("system", "developer", "user", "assistant")
_TEXTS = ("input_text", "output_text", "text", "refusal", "reasoning_text", "summary_text")


def conversation(fields: Fields) -> list[dict[str, Any]]:
    """`input`: a text, or a list of items."""
    value = fields.get("input")
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise BadField(fields.at("input"), f"input must be a string or a list of items, not {kind_of(value)}")
    told = _Conversation()
    for item in fields.objects("input"):
        told.add(item)
    return told.whole()


class _Conversation:
    """Puts together what one native message holds: thoughts, words and calls of one turn are items of their own."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._names: dict[str, str] = {}
        self._thinking = ""

    def add(self, item: Fields) -> None:
        kind = item.text("type")
        if kind is None and "role" in item:
            kind = "message"
        match kind:
            case "message":
                self._message(item)
            case "function_call":
                self._called(item, arguments(item, "arguments"))
            case "custom_tool_call":
                self._called(item, {"input": item.text("input") or ""})
            case "function_call_output" | "custom_tool_call_output":
                self._output(item)
            case "reasoning":
                self._thinking = _thoughts(item)
            case "web_search_call":
                pass  # what a server of OpenAI's ran for itself
            case "item_reference":
                raise BadField(
                    item.path, "refers to a kept item: this server keeps none, send the item itself"
                )
            case None:
                raise BadField(item.at("type"), "input item missing required 'type' field")
            case _:
                raise BadField(item.at("type"), f"unknown input item type: {kind[:80]}")

    def whole(self) -> list[dict[str, Any]]:
        """All messages; thoughts that nothing followed are a message of their own."""
        if self._thinking:
            self._messages.append({"role": "assistant", "content": "", **self._thought()})
        return self._messages

    def _message(self, item: Fields) -> None:
        role = (item.text("role") or "").lower()
        if role not in ROLES:
            raise BadField(item.at("role"), f"must be one of {', '.join(ROLES)}")
        if "content" not in item:
            raise BadField(item.at("content"), "is required: a string or a list of parts")
        text, images = parts(item, "content", _TEXTS, ("input_image",))
        if role == "assistant":
            before = self._messages[-1] if self._messages else {}
            if before.get("role") == "assistant" and before.get("tool_calls"):
                before["content"] += text  # words of the turn that made the call
                return
            self._messages.append({"role": role, "content": text, **self._thought()})
            return
        message: dict[str, Any] = {"role": "system" if role == "developer" else role, "content": text}
        if images:
            message["images"] = images
        self._messages.append(message)

    def _called(self, item: Fields, told: dict[str, Any]) -> None:
        ident = item.required_text("call_id")
        name = item.required_text("name")
        if space := item.text("namespace"):
            name = f"{space}.{name}"
        self._names[ident] = name
        call = {"id": ident, "function": {"name": name, "arguments": told}}
        before = self._messages[-1] if self._messages else {}
        if before.get("role") != "assistant" or self._thinking:
            before = {"role": "assistant", "content": "", **self._thought()}
            self._messages.append(before)
        before.setdefault("tool_calls", []).append(call)

    def _output(self, item: Fields) -> None:
        ident = item.required_text("call_id")
        if "output" not in item:
            raise BadField(item.at("output"), "is required: a string or a list of parts")
        text, images = parts(item, "output", _TEXTS, ("input_image",))
        message: dict[str, Any] = {"role": "tool", "content": text, "tool_call_id": ident}
        if name := self._names.get(ident):
            message["tool_name"] = name
        if images:
            message["images"] = images
        self._messages.append(message)

    def _thought(self) -> dict[str, Any]:
        thinking, self._thinking = self._thinking, ""
        return {"thinking": thinking} if thinking else {}


def _thoughts(item: Fields) -> str:
    """We write thoughts in plain text where others write what only they can read."""
    if plain := item.text("encrypted_content"):
        return plain
    return parts(item, "content", _TEXTS, ())[0] or parts(item, "summary", _TEXTS, ())[0]
