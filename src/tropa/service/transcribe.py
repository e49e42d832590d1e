"""A recording written down: a chat about one sound, in words of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tropa.service.asks import ChatAsk
from tropa.service.errors import InvalidRequest

_TASK = "Transcribe this recording: write down what is said in it, word for word, and nothing else."


@dataclass(frozen=True, slots=True)
class TranscribeAsk:
    """`sound` is base64. `languages` are hints, and so are `keywords`; `prompt` is a text that the recording goes on
    from, or one in its style."""

    model: str
    client: str
    sound: str
    languages: Sequence[str] = ()
    keywords: Sequence[str] = ()
    prompt: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    keep_alive: float | None = None
    logprobs: bool = False


def conversation(ask: TranscribeAsk) -> ChatAsk:
    """The chat that answers with the text. Nothing in it can be left out, and there is nothing to think about."""
    if not ask.model.strip():
        raise InvalidRequest("model is required")
    return ChatAsk(
        model=ask.model,
        client=ask.client,
        messages=({"role": "user", "content": task(ask), "images": [ask.sound]},),
        options={"temperature": 0.0, **ask.options},
        keep_alive=ask.keep_alive,
        think=False,
        truncate=False,
        logprobs=ask.logprobs,
    )


def task(ask: TranscribeAsk) -> str:
    """What the model is told."""
    told = [_TASK]
    if ask.languages:
        told.append(f"Language: {' or '.join(ask.languages)}.")
    if ask.keywords:
        told.append(f"These words may occur: {', '.join(ask.keywords)}.")
    if ask.prompt:
        told.append(f"What was said before, or how such texts are written: {ask.prompt}")
    return "\n".join(told)
