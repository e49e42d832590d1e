"""What comes out of a generation: pieces while it runs, one ending. Times are integer nanoseconds."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Struct

_ID_LETTERS = string.ascii_lowercase + string.digits


class Dropped(Struct, frozen=True):
    """What was left out of a prompt that did not fit: so many of the oldest messages, so many tokens."""

    messages: int
    tokens: int


class Piece(Struct, frozen=True, gc=False):
    """A piece of the answer. `logprobs` belong to the tokens of this piece. `dropped`, if the prompt had to be
    shortened, comes with the first piece (and with the end).

    One is made for each token: a struct costs a quarter of what a frozen dataclass does.
    """

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    logprobs: tuple[dict[str, Any], ...] = ()
    dropped: Dropped | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """What it cost. `prompt_tokens` includes the `cached_tokens` that were not evaluated again, and does not include
    what was dropped."""

    total_ns: int = 0
    load_ns: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    prompt_ns: int = 0
    tokens: int = 0
    generation_ns: int = 0


@dataclass(frozen=True, slots=True)
class End:
    """The last event. `load` and `unload` answer requests without a prompt; `context` is for generate only."""

    reason: Literal["stop", "length", "load", "unload"]
    counts: Counts = field(default_factory=Counts)
    context: tuple[int, ...] | None = None
    stopped_by: str = ""
    """The stop sequence that ended the answer, where that is known; it is not part of the answer."""
    dropped: Dropped | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt that would have been sent (`_debug_render_only`)."""

    prompt: str
    images: int = 0


Event = Piece | End | Rendered


def call_id() -> str:
    """A label for a tool call that has none."""
    return "call_" + "".join(random.choices(_ID_LETTERS, k=8))  # noqa: S311 - a label, no secret
