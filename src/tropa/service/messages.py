"""Conversations: how a model's own messages and a request's become what the engine's template is given."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tropa.library.model import Model
from tropa.service.errors import NotCapable


def check_images(model: Model, asked: str, images: bool) -> None:
    """Refuse them before anything is loaded; `asked` is the model's name as the client wrote it."""
    if images and not model.projectors:
        raise NotCapable(f'"{asked}" does not support images')


def conversation(model: Model, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The model's MESSAGEs, then the request's; the model's SYSTEM in front unless the request brings one."""
    seeds = [{"role": seed.role, "content": seed.content} for seed in model.messages]
    system = []
    if model.system and not (messages and messages[0].get("role", "").lower() == "system"):
        system = [{"role": "system", "content": model.system}]
    return [*system, *(as_openai(message) for message in [*seeds, *messages])]


def as_openai(message: Mapping[str, Any]) -> dict[str, Any]:
    """A native message in the engine's dialect."""
    content: Any = message.get("content", "")
    if images := message.get("images"):
        content = [*_pictures(images), {"type": "text", "text": content}]
    out: dict[str, Any] = {"role": message.get("role", "").lower(), "content": content}
    if thinking := message.get("thinking"):
        out["reasoning_content"] = thinking
    if calls := message.get("tool_calls"):
        out["tool_calls"] = [_call(call, index) for index, call in enumerate(calls)]
    if name := message.get("tool_name"):
        out["name"] = name
    if ident := message.get("tool_call_id"):
        out["tool_call_id"] = ident
    return out


def _pictures(images: Iterable[str]) -> list[dict[str, Any]]:
    return [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}} for data in images]


def _call(call: Mapping[str, Any], index: int) -> dict[str, Any]:
    function = call.get("function", {})
    return {
        "id": call.get("id") or f"call_{index}",
        "type": "function",
        "function": {
            "name": function.get("name", ""),
            "arguments": json.dumps(function.get("arguments", {}), ensure_ascii=False),
        },
    }
