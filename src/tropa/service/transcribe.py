"""A recording written down: a chat about one sound, in words of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tropa.library.model import Model
from tropa.service.asks import ChatAsk
from tropa.service.history import Message

_TASK = "Transcribe this recording: write down what is said in it, word for word, and nothing else."
_TRAINED = {"lfm2": "Perform ASR.", "lfm2moe": "Perform ASR."}
"""Families that were trained to do it when their system message says so, and not to be asked."""


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


def conversation(ask: TranscribeAsk, model: Model) -> ChatAsk:
    """The chat that answers with the text. Nothing in it can be left out, and there is nothing to think about."""
    system = _TRAINED.get(model.details.family)
    told = _hints(ask) if system else [_TASK, *_hints(ask)]
    user: Message = {"role": "user", "content": "\n".join(told), "images": [ask.sound]}
    return ChatAsk(
        model=ask.model,
        client=ask.client,
        messages=[{"role": "system", "content": system}, user] if system else [user],
        options={"temperature": 0.0, **ask.options},
        keep_alive=ask.keep_alive,
        think=False,
        truncate=False,
        logprobs=ask.logprobs,
    )


def _hints(ask: TranscribeAsk) -> list[str]:
    told = []
    if ask.languages:
        told.append(f"Language: {' or '.join(ask.languages)}.")
    if ask.keywords:
        told.append(f"These words may occur: {', '.join(ask.keywords)}.")
    if ask.prompt:
        told.append(f"What was said before, or how such texts are written: {ask.prompt}")
    return told
