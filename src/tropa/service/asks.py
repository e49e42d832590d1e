"""Requests as the service understands them: decoded, of the right types, not yet checked against a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Sampled:
    """What generate and chat have in common. `client` is who must share fairly with others."""

    model: str
    client: str
    options: Mapping[str, Any] = field(default_factory=dict)
    keep_alive: float | None = None
    format: Any = None
    think: bool | str | None = None
    truncate: bool | None = None
    shift: bool | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    render_only: bool = False
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logit of each of these tokens."""


@dataclass(frozen=True, slots=True)
class GenerateAsk(Sampled):
    """`context` None means absent: an empty one still leaves the model's own messages out."""

    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: Sequence[int] | None = None
    raw: bool = False
    images: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ChatAsk(Sampled):
    """Messages are as the native API has them, roles in lower case."""

    messages: Sequence[Mapping[str, Any]] = ()
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: Literal["auto", "required"] = "auto"
    """`required`: the answer is a call of one of the tools. A dialect that wants none, or a certain one, gives no
    tools, or only that one."""
    parallel_tool_calls: bool | None = None
    """Whether one answer may hold several calls; None: as the model's template has it."""
    name_stop: bool = False
    """Whether the end has to say which stop sequence it was."""
    thinking_budget: int | None = None
    """The most tokens of thoughts, where the engine renders the prompt; None: as many as there are."""


@dataclass(frozen=True, slots=True)
class RerankAsk:
    """`truncate` None means that the caller did not say."""

    model: str
    client: str
    query: str = ""
    documents: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    keep_alive: float | None = None
    truncate: bool | None = None


@dataclass(frozen=True, slots=True)
class EmbedAsk:
    """`truncate` None means that the caller did not say."""

    model: str
    client: str
    inputs: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    keep_alive: float | None = None
    truncate: bool | None = None
    dimensions: int = 0
