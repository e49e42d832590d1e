"""From a conversation to the prompt that a template makes of it.

Three ways, and the template decides: a fill-in (text before and after the cursor), all messages at once (a
template that names `.Messages`), or turn by turn (one that knows a system text, a prompt and a response).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tropa.templates.template import Template
from tropa.templates.views import Message, Messages, Tool, Tools

_LISTS = ("images", "tool_calls")


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages and tools are as the native API has them, decoded from JSON."""

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    think: bool | str | None = None
    """Whether, or how hard, to think; None when nobody said."""


def render(template: Template, conversation: Conversation) -> str:
    """Raises TemplateError."""
    messages = collated(conversation.messages)
    if "messages" not in template.variables:
        return _by_turns(template, messages, _thinking(conversation.think))
    return template.execute(
        {
            "System": system_text(conversation.messages),
            "Messages": Messages(map(Message, messages)),
            "Tools": Tools(map(Tool, conversation.tools)),
            "Response": "",
            **_thinking(conversation.think),
        }
    )


def render_suffix(template: Template, prompt: str, suffix: str, think: bool | str | None = None) -> str:
    """The prompt that fills in between `prompt` and `suffix`; where one is empty, an ordinary prompt. Raises
    TemplateError.
    """
    if not (prompt and suffix):
        messages = [{"role": "user", "content": prompt}] if prompt else []
        return render(template, Conversation(messages, think=think))
    return template.execute({"Prompt": prompt, "Suffix": suffix, "Response": "", **_thinking(think)})


def collated(messages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Neighbours of one role made one message, except tool results: each of those answers a call of its own."""
    out: list[Mapping[str, Any]] = []
    for message in messages:
        role = message.get("role", "")
        if out and role != "tool" and out[-1].get("role", "") == role:
            out[-1] = _merged(out[-1], message)
        else:
            out.append(message)
    return out


def system_text(messages: Iterable[Mapping[str, Any]]) -> str:
    """All that the system said."""
    return "\n\n".join(
        message.get("content") or "" for message in messages if message.get("role") == "system"
    )


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> Mapping[str, Any]:
    """Texts with an empty line between; images, calls and thoughts of both."""
    merged = {**first, "content": f"{first.get('content') or ''}\n\n{second.get('content') or ''}"}
    for key in _LISTS:
        if items := [*(first.get(key) or ()), *(second.get(key) or ())]:
            merged[key] = items
    if thoughts := [text for each in (first, second) if (text := each.get("thinking"))]:
        merged["thinking"] = "\n\n".join(thoughts)
    return merged


def _thinking(think: bool | str | None) -> dict[str, object]:
    level = think if isinstance(think, str) else "medium" if think else ""
    return {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}


def _by_turns(template: Template, messages: list[Mapping[str, Any]], thinking: dict[str, object]) -> str:
    """Each finished turn by the whole template, the last one by its part before the answer."""
    out: list[str] = []
    system = prompt = response = ""

    def turn() -> dict[str, object]:
        return {"System": system, "Prompt": prompt, "Response": response, **thinking}

    for message in messages:
        role, content = message.get("role", ""), message.get("content") or ""
        if (role == "system" and (prompt or response)) or (role == "user" and response):
            out.append(template.execute(turn()))
            system = prompt = response = ""
        if role == "system":
            system = content
        elif role == "user":
            prompt = content
        elif role == "assistant":
            response = content
    return "".join(out) + template.execute_opening(turn())
