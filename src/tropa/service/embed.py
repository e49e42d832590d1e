"""Embeddings: texts in, one vector each, in their order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tropa.errors import TropaError
from tropa.runners.errors import ContextExceeded
from tropa.runners.herd import Herd
from tropa.runners.reply import Timings
from tropa.service.asks import EmbedAsk
from tropa.service.batch import Batch
from tropa.service.clock import Clock
from tropa.service.errors import InvalidRequest, NotCapable
from tropa.service.events import Counts
from tropa.service.models import Models
from tropa.service.tokens import framed


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
    if model.can("rerank"):
        raise NotCapable(f'"{ask.model}" does not support embed: it scores documents (/api/rerank)')
    options = models.options(model, ask.options)
    async with herd.slot(models.loadable(model), ask.client, options.want(ask.keep_alive)) as slot:
        clock.granted()
        texts = await framed(slot, ask.inputs)
        cut = [_fit(tokens, slot.context, ask.truncate) for tokens in texts]
        found = await Batch.of(slot).vectors(slot, cut)
        return Embedded(
            [_vector(vector, ask.dimensions) for vector in found],
            clock.counts(Timings()),
            sum(map(len, cut)),
            [len(whole) - len(kept) for whole, kept in zip(texts, cut, strict=True)],
        )


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


def _vector(vector: list[float], dimensions: int) -> Sequence[float]:
    if not all(isinstance(value, float | int) and math.isfinite(value) for value in vector):
        raise BadEmbedding("embedding contains NaN or Inf values")
    return _unit(vector[:dimensions]) if 0 < dimensions < len(vector) else vector


def _unit(vector: list[float]) -> list[float]:
    norm = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / norm for value in vector]
