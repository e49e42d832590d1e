"""Embeddings: texts in, one vector each, in their order."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tropa.errors import TropaError
from tropa.runners.errors import ContextExceeded
from tropa.runners.herd import Herd, Slot
from tropa.runners.reply import Timings
from tropa.service.asks import EmbedAsk
from tropa.service.clock import Clock
from tropa.service.errors import InvalidRequest
from tropa.service.events import Counts
from tropa.service.models import Models

AT_ONCE = 64  # texts in one call to the engine: enough to fill its slots, few enough to let others in between


class BadEmbedding(TropaError):
    """The engine made numbers that are none."""

    code = "bad-embedding"


@dataclass(frozen=True, slots=True)
class Embedded:
    """Unit vectors; `truncated` says how many tokens were cut from each text, where the caller allowed it."""

    vectors: Sequence[Sequence[float]]
    counts: Counts
    prompt_tokens: int = 0
    truncated: Sequence[int] = ()


async def embed(models: Models, herd: Herd, ask: EmbedAsk) -> Embedded:
    """One vector per input. Without inputs the model is only loaded.

    An input that is longer than the context is an error unless the caller chose `truncate`.
    """
    clock = Clock()
    model = models.find(ask.model)
    options = models.options(model, ask.options)
    async with herd.slot(models.loadable(model), ask.client, options.want(ask.keep_alive)) as slot:
        clock.granted()
        texts = await asyncio.gather(*(_tokens(slot, text) for text in ask.inputs))
        cut = [_fit(tokens, slot.context, ask.truncate) for tokens in texts]
        vectors: list[Sequence[float]] = []
        for start in range(0, len(cut), AT_ONCE):
            answer = await slot.call("/v1/embeddings", {"input": cut[start : start + AT_ONCE]})
            vectors.extend(_vectors(answer, ask.dimensions))
        return Embedded(
            vectors,
            clock.counts(Timings()),
            sum(map(len, cut)),
            [len(whole) - len(kept) for whole, kept in zip(texts, cut, strict=True)],
        )


async def _tokens(slot: Slot, text: str) -> list[int]:
    answer = await slot.call("/tokenize", {"content": text, "add_special": True, "parse_special": False})
    tokens: list[int] = answer["tokens"]
    return tokens


def _fit(tokens: list[int], limit: int, truncate: bool | None) -> list[int]:
    """The tokens that are embedded: the start, and the closing token that the model expects."""
    if not tokens:
        raise InvalidRequest("an empty text has no embedding with this model: it has no tokens")
    if len(tokens) <= limit:
        return tokens
    if not truncate:
        raise InputTooLong(len(tokens), limit)
    return [*tokens[: limit - 1], tokens[-1]]


class InputTooLong(ContextExceeded):
    """A text does not fit the context of the embedding model. Clients of the reference know its first words."""

    code = "input-too-long"

    def __init__(self, tokens: int, context: int) -> None:
        super().__init__(tokens, context)
        message = (
            f"the input length exceeds the context length: {tokens} tokens, and the context has {context}; "
            'shorten it, or allow cutting with "truncate": true'
        )
        self.args = (message,)


def _vectors(answer: dict[str, Any], dimensions: int) -> list[Sequence[float]]:
    found: list[Sequence[float]] = [()] * len(answer["data"])
    for entry in answer["data"]:
        vector = entry["embedding"]
        if 0 < dimensions < len(vector):
            vector = _unit(vector[:dimensions])
        if not all(map(math.isfinite, vector)):
            raise BadEmbedding("embedding contains NaN or Inf values")
        found[entry["index"]] = vector
    return found


def _unit(vector: list[float]) -> list[float]:
    norm = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / norm for value in vector]
