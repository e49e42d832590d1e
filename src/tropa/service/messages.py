"""Conversations: how a model's own messages and a request's become what the engine's template is given."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tropa.library.model import Model
from tropa.service.history import Message, role
from tropa.service.media import sound_kind
from tropa.templates.thinking import ThinkingParser

MARK = re.compile(r"\[img-(\d{1,6})\]")
"""Stands in a text where an image belongs."""
USUAL_THINKING = ("<think>", "</think>")


def seeds(model: Model) -> list[Message]:
    """The MESSAGEs that the model comes with."""
    return [{"role": seed.role.lower(), "content": seed.content} for seed in model.messages]


def conversation(model: Model, messages: Sequence[Message]) -> list[Message]:
    """The model's MESSAGEs, then the request's; the model's SYSTEM in front unless the request begins with its own."""
    system: list[Message] = []
    if model.system and not (messages and role(messages[0]) == "system"):
        system = [{"role": "system", "content": model.system}]
    whole = [*system, *seeds(model), *map(_with_plain_role, messages)]
    return _without_old_thoughts(whole) if _forgets(model) else whole


def _with_plain_role(message: Message) -> Message:
    plain = role(message)
    return message if message.get("role") == plain else {**message, "role": plain}


def _forgets(model: Model) -> bool:
    """Families that were trained to see no thoughts of theirs but the latest."""
    return model.details.family == "qwen3" or model.name.model == "deepseek-r1"


def _without_old_thoughts(messages: list[Message]) -> list[Message]:
    users = [at for at, message in enumerate(messages) if role(message) == "user"]
    last = users[-1] if users else 0
    return [
        {**message, "content": _answer(message.get("content", ""))}
        if at < last and role(message) == "assistant"
        else message
        for at, message in enumerate(messages)
    ]


def _answer(text: str) -> str:
    parser = ThinkingParser(*USUAL_THINKING)
    return parser.feed(text)[1] + parser.finish()[1]


def size(messages: Iterable[Message]) -> int:
    """Bytes of text in a conversation: with any template its prompt has at least as many."""
    return sum(len(text.encode(errors="surrogatepass")) for each in messages if (text := each.get("content")))


def media(messages: Iterable[Message]) -> list[str]:
    """All images, and all sounds: they come the same way."""
    return [each for message in messages for each in message.get("images") or ()]


def marked(messages: Iterable[Message]) -> tuple[list[Message], list[str]]:
    """The messages with a mark in the text where each image belongs, and the images in the order of their numbers.

    A plain `[img]` in the text becomes the next mark; images without one stand in front of the text.
    """
    images: list[str] = []
    found: list[Message] = []
    for message in messages:
        content, front = message.get("content") or "", ""
        own = message.get("images") or ()
        for image in own:
            mark = f"[img-{len(images)}]"
            images.append(image)
            if "[img]" in content:
                content = content.replace("[img]", mark, 1)
            elif mark not in content:
                front += mark
        found.append({**message, "content": front + content} if own else message)
    return found, images


def in_dialect(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """A whole conversation in the engine's dialect."""
    calls = _Calls()
    return [as_openai(calls.linked(message)) for message in messages]


class _Calls:
    """In the engine's dialect each call has an id, and each answer says whose it is. Native clients leave that to names
    and order, but there are templates that refuse what has no id of nine letters or digits (Mistral's)."""

    def __init__(self) -> None:
        self._made = 0
        self._waiting: list[tuple[str, str]] = []
        """The calls without an answer: id and name."""

    def linked(self, message: Message) -> Message:
        """The next message, with ids."""
        if role(message) == "tool":
            return self._answer(message)
        if not message.get("tool_calls"):
            return message
        calls = [{**call, "id": call.get("id") or self._id()} for call in message["tool_calls"]]
        self._waiting += [(call["id"], (call.get("function") or {}).get("name") or "") for call in calls]
        return {**message, "tool_calls": calls}

    def _answer(self, message: Message) -> Message:
        """With the id of its call, which waits no longer: the first of that name, or the first of all."""
        ident, name = message.get("tool_call_id") or "", message.get("tool_name") or ""
        fits = [call for call in self._waiting if (call[0] == ident if ident else name in ("", call[1]))]
        if fits:
            self._waiting.remove(fits[0])
        its_id, its_name = fits[0] if fits else (ident or self._id(), name)
        return {**message, "tool_call_id": its_id, "tool_name": name or its_name}

    def _id(self) -> str:
        self._made += 1
        return f"call{self._made:05d}"


def as_openai(message: Message) -> dict[str, Any]:
    """A native message in the engine's dialect."""
    content: Any = message.get("content", "")
    if message.get("images"):
        content = _parts(message)
    out: dict[str, Any] = {"role": role(message), "content": content}
    if thinking := message.get("thinking"):
        out["reasoning_content"] = thinking
    if calls := message.get("tool_calls"):
        out["tool_calls"] = [*map(_call, calls)]
    if name := message.get("tool_name"):
        out["name"] = name
    if ident := message.get("tool_call_id"):
        out["tool_call_id"] = ident
    return out


def _parts(message: Message) -> list[dict[str, Any]]:
    """Text and images in the order in which they are to be read."""
    (with_marks,), images = marked([message])
    parts: list[dict[str, Any]] = []
    for number, text in enumerate(MARK.split(with_marks["content"])):
        if number % 2 and int(text) < len(images):
            parts.append(_part(images[int(text)]))
        elif text:
            parts.append({"type": "text", "text": f"[img-{text}]" if number % 2 else text})
    return parts


def _part(data: str) -> dict[str, Any]:
    """A sound, or what is none."""
    if kind := sound_kind(data):
        return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}


def images_in(said: Iterable[Mapping[str, Any]]) -> list[str]:
    """The images and sounds of messages in the engine's dialect, in the order in which they are read."""
    found: list[str] = []
    for message in said:
        for part in message["content"] if isinstance(message["content"], list) else ():
            if part["type"] == "image_url":
                found.append(part["image_url"]["url"].partition(",")[2])
            elif part["type"] == "input_audio":
                found.append(part["input_audio"]["data"])
    return found


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function", {})
    return {
        "id": call.get("id", ""),
        "type": "function",
        "function": {
            "name": function.get("name", ""),
            "arguments": json.dumps(function.get("arguments", {}), ensure_ascii=False),
        },
    }
