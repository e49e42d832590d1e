"""Reranking: a query and documents in, a score for each document out, as the engine's rerank models give it."""

from __future__ import annotations

from dataclasses import dataclass, field

from tropa.runners.herd import Herd, Slot
from tropa.runners.reply import Timings
from tropa.service import prompt
from tropa.service.asks import RerankAsk
from tropa.service.clock import Clock
from tropa.service.embed import BadEmbedding, InputTooLong
from tropa.service.errors import InvalidRequest, NotCapable
from tropa.service.events import Counts
from tropa.service.models import Models
from tropa.service.tokens import plain

SPECIAL = 4
"""Tokens that stand around and between a query and a document, at most."""


@dataclass(frozen=True, slots=True)
class Reranked:
    """`scores` are in the order of the documents, and as large as the model makes them: only their order means
    something. `truncated` says how many tokens were cut from each document, where the caller allowed it."""

    scores: tuple[float, ...]
    counts: Counts
    prompt_tokens: int = 0
    truncated: tuple[int, ...] = field(default=())


async def rerank(models: Models, herd: Herd, ask: RerankAsk) -> Reranked:
    """One score per document. Without documents the model is only loaded.

    A document that does not fit the context together with the query is an error unless the caller chose `truncate`.
    """
    clock = Clock()
    model = models.find(ask.model)
    if not model.can("rerank"):
        raise NotCapable(f'"{ask.model}" does not support rerank: it is no rerank model')
    if ask.documents and not ask.query.strip():
        raise InvalidRequest("query is required: documents are scored by how well they answer it")
    options = models.options(model, ask.options)
    async with herd.slot(models.loadable(model), ask.client, options.want(ask.keep_alive)) as slot:
        clock.granted()
        if not ask.documents:
            return Reranked((), clock.counts(Timings()))
        documents, cut = await _fitting(slot, ask)
        scores: list[float] = []
        tokens = 0
        for start in range(0, len(documents), slot.slots):
            part = documents[start : start + slot.slots]
            answer = await slot.call("/v1/rerank", {"query": ask.query, "documents": part})
            tokens += answer["usage"]["prompt_tokens"]
            found = {entry["index"]: entry["relevance_score"] for entry in answer["results"]}
            if any(not isinstance(found.get(index), float | int) for index in range(len(part))):
                raise BadEmbedding("the model made scores that are no numbers")
            scores += [found[index] for index in range(len(part))]
        return Reranked(tuple(scores), clock.counts(Timings()), tokens, cut)


async def _fitting(slot: Slot, ask: RerankAsk) -> tuple[list[str], tuple[int, ...]]:
    """The documents as they are scored, and how many tokens each lost. Raises InputTooLong."""
    query, *documents = await plain(slot, [ask.query, *ask.documents])
    room = slot.context - len(query) - SPECIAL
    texts, cut = [], []
    for text, tokens in zip(ask.documents, documents, strict=True):
        over = len(tokens) - room
        if over > 0 and (room < 1 or not ask.truncate):
            raise InputTooLong(len(query) + len(tokens) + SPECIAL, slot.context)
        texts.append(text if over <= 0 else await prompt.text(slot, tokens[:room]))
        cut.append(max(0, over))
    return texts, tuple(cut)
