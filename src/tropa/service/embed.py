"""Embeddings: texts in, one vector each, in their order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from tropa.errors import TropaError
from tropa.runners.errors import ContextExceeded
from tropa.runners.herd import Herd, Slot
from tropa.runners.reply import Timings
from tropa.service.asks import EmbedAsk
from tropa.service.batch import Batch
from tropa.service.clock import Clock
from tropa.service.errors import InvalidRequest, NoEmbeddings, NotCapable
from tropa.service.events import Counts
from tropa.service.markers import markers
from tropa.service.models import Models
from tropa.service.tokens import framed


class BadEmbedding(TropaError):
    """The engine made numbers that are none."""

    code = "bad-embedding"


FRAME_ROOM = 16  # tokens that a tokenizer may put around a text, generously


@dataclass(frozen=True, slots=True)
class Embedded:
    """Unit vectors, each a JSON list of numbers; `truncated` says how many tokens were cut from each text, where the
    caller allowed it."""

    vectors: Sequence[msgspec.Raw]
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
    if model.can("rerank"):
        raise NotCapable(f'"{ask.model}" does not support embed: it scores documents (/api/rerank)')
    if not model.can("embedding"):
        raise NoEmbeddings(
            f'"{ask.model}" does not support embeddings: it is a model that writes text; use an embedding model'
        )
    loadable = models.loadable(model)
    async with herd.slot(loadable, ask.client, options.want(ask.keep_alive)) as slot:
        clock.granted()
        if len(ask.inputs) == 1:
            vectors, tokens, truncated = await _one(slot, ask, loadable.weights)
        else:
            vectors, tokens, truncated = await _many(slot, ask)
        return Embedded(
            [_vector(vector, ask.dimensions) for vector in vectors],
            clock.counts(Timings()),
            tokens,
            truncated,
        )


_Found = tuple[Sequence[msgspec.Raw], int, Sequence[int]]


async def _one(slot: Slot, ask: EmbedAsk, weights: Path) -> _Found:
    """A single text becomes tokens when its turn comes, together with those of other callers."""
    (text,) = ask.inputs
    short = len(text.encode(errors="replace")) + FRAME_ROOM <= slot.context  # no token is less than a byte
    plain = bool(text) and short and (await markers(slot, weights)).absent(text)
    fit = partial(_fit, limit=slot.context, truncate=ask.truncate)
    vector, tokens, lost = await Batch.of(slot).vector(slot, text, fit, plain=plain)
    return [vector], tokens, [lost]


async def _many(slot: Slot, ask: EmbedAsk) -> _Found:
    texts = await framed(slot, ask.inputs)
    cut = [_fit(tokens, slot.context, ask.truncate) for tokens in texts]
    vectors = await Batch.of(slot).vectors(slot, cut)
    lost = [len(whole) - len(kept) for whole, kept in zip(texts, cut, strict=True)]
    return vectors, sum(map(len, cut)), lost


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


def _vector(vector: msgspec.Raw, dimensions: int) -> msgspec.Raw:
    if b"null" in bytes(vector):
        raise BadEmbedding("embedding contains NaN or Inf values")
    if dimensions <= 0:
        return vector
    numbers = _numbers(vector)
    return (
        msgspec.Raw(msgspec.json.encode(_unit(numbers[:dimensions]))) if dimensions < len(numbers) else vector
    )


_numbers = msgspec.json.Decoder(list[float]).decode


def _unit(vector: list[float]) -> list[float]:
    norm = math.sqrt(sum(value * value for value in vector)) or 1.0
    return [value / norm for value in vector]
