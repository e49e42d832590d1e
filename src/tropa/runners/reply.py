"""What an engine says, as typed values. Fields that nobody here reads are skipped while decoding."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct


class Timings(Struct, frozen=True):
    """Counts in tokens and times in milliseconds. `cache_n` tokens of the prompt came from the KV cache."""

    cache_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0


class Progress(Struct, frozen=True):
    """Prompt processing so far, in tokens; `total` is the whole prompt's length."""

    total: int
    cache: int
    processed: int


class EngineFault(Struct, frozen=True):
    """The engine's own error object."""

    message: str = ""
    code: int = 500
    type: str = ""
    n_prompt_tokens: int = 0
    n_ctx: int = 0


class Completion(Struct, frozen=True):
    """One record of a streamed `/completion`."""

    content: str = ""
    stop: bool = False
    stop_type: str = "none"
    stopping_word: str = ""
    tokens_predicted: int = 0
    timings: Timings | None = None
    prompt_progress: Progress | None = None
    completion_probabilities: list[Any] | None = None
    error: EngineFault | None = None


class CallPiece(Struct, frozen=True):
    """A piece of a tool call's function: the name comes first, the arguments in pieces of JSON text."""

    name: str | None = None
    arguments: str = ""


class ToolCallPiece(Struct, frozen=True):
    index: int = 0
    id: str | None = None
    function: CallPiece = CallPiece()


class Delta(Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallPiece] | None = None


class ChoiceLogprobs(Struct, frozen=True):
    content: list[Any] | None = None


class Choice(Struct, frozen=True):
    delta: Delta = Delta()
    finish_reason: str | None = None
    logprobs: ChoiceLogprobs | None = None


class ChatChunk(Struct, frozen=True):
    """One record of a streamed `/v1/chat/completions`."""

    choices: list[Choice] = []
    timings: Timings | None = None
    prompt_progress: Progress | None = None
    error: EngineFault | None = None


class Failure(Struct, frozen=True):
    """The body of an answer with an error status."""

    error: EngineFault = EngineFault()


class Usage(Struct, frozen=True):
    prompt_tokens: int = 0


class Vector(Struct, frozen=True):
    """The embedding of one text of several. Its numbers stay as the engine wrote them, for they are passed on far more
    often than they are read; one that is none is `null` there."""

    index: int
    embedding: msgspec.Raw


class Vectors(Struct, frozen=True):
    """An answer of `/v1/embeddings`; `usage` counts the tokens of all its texts."""

    data: list[Vector]
    usage: Usage = Usage()


class LoadedModel(Struct, frozen=True):
    id: str = ""


class Models(Struct, frozen=True):
    """`/v1/models`: the model that the engine has loaded, under the alias it was given."""

    data: list[LoadedModel] = []


decode_completion = msgspec.json.Decoder(Completion).decode
decode_chat = msgspec.json.Decoder(ChatChunk).decode
decode_failure = msgspec.json.Decoder(Failure).decode
decode_models = msgspec.json.Decoder(Models).decode
decode_vectors = msgspec.json.Decoder(Vectors).decode
