"""What comes out of a generation: pieces while it runs, one ending. Times are integer nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from msgspec import Struct


class Piece(Struct, frozen=True, gc=False):
    """A piece of the answer. `logprobs` belong to the tokens of this piece.

    One is made for each token: a struct costs a quarter of what a frozen dataclass does.
    """

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    logprobs: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """What it cost. `prompt_tokens` includes the `cached_tokens` that were not evaluated again."""

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


@dataclass(frozen=True, slots=True)
class Rendered:
    """The prompt that would have been sent (`_debug_render_only`)."""

    prompt: str
    images: int = 0


Event = Piece | End | Rendered
