"""The service: one function for each thing a client can ask of a model. Every dialect ends here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

from tropa.library.model import Model
from tropa.runners.account import current
from tropa.runners.herd import Herd
from tropa.scheduler.plan import Plan
from tropa.service import chat, count, embed, generate, rerank, toolchoice, transcribe
from tropa.service.asks import ChatAsk, EmbedAsk, GenerateAsk, RerankAsk
from tropa.service.embed import Embedded
from tropa.service.events import End, Event
from tropa.service.models import Models
from tropa.service.rerank import Reranked
from tropa.service.transcribe import TranscribeAsk


class Service:
    """Stateless: models come from the library, slots from the herd."""

    def __init__(self, models: Models, herd: Herd) -> None:
        self.models = models
        self.herd = herd

    def generate(self, ask: GenerateAsk) -> AsyncGenerator[Event, None]:
        """Complete a prompt. An empty one loads the model, or unloads it with `keep_alive` 0."""
        return generate.generate(self.models, self.herd, ask, self.unload)

    def chat(self, ask: ChatAsk) -> AsyncGenerator[Event, None]:
        """Answer a conversation. No messages: load the model, or unload it with `keep_alive` 0."""
        if ask.tools and ask.tool_choice == "required":
            return toolchoice.called(self._chat(toolchoice.forced(ask)))
        events = self._chat(ask)
        return toolchoice.single(events) if ask.parallel_tool_calls is False else events

    def _chat(self, ask: ChatAsk) -> AsyncGenerator[Event, None]:
        return chat.chat(self.models, self.herd, ask, self.unload)

    def transcribe(self, ask: TranscribeAsk) -> AsyncGenerator[Event, None]:
        """Write down what is said in a recording. Raises ModelNotFound at once."""
        return self._chat(transcribe.conversation(ask, self.models.find(ask.model)))

    async def count(self, ask: ChatAsk) -> int:
        """How many tokens the prompt of a chat has."""
        return await count.count(self.models, self.herd, ask)

    async def embed(self, ask: EmbedAsk) -> Embedded:
        """One vector per text."""
        done = await embed.embed(self.models, self.herd, ask)
        _entered(done)
        return done

    async def rerank(self, ask: RerankAsk) -> Reranked:
        """One score per document."""
        done = await rerank.rerank(self.models, self.herd, ask)
        _entered(done)
        return done

    def plan(
        self, name: str, client: str, options: Mapping[str, Any], slots: int | None
    ) -> tuple[Plan, float]:
        """What asking for a model now would lead to, and the scheduler's time of the answer."""
        model = self.models.find(name)
        want = replace(self.models.options(model, options).want(None), slots=slots)
        return self.herd.plan(self.models.loadable(model), client, want)

    def unload(self, model: Model) -> End:
        """Let the model go as soon as it is idle; succeeds whether it is loaded or not."""
        self.herd.unload(self.models.loadable(model).demand.key)
        return End("unload")


def _entered(done: Embedded | Reranked) -> None:
    """In the request's account, where the engine says nothing: all that was done was reading the texts."""
    account = current()
    account.prompt_tokens += done.prompt_tokens
    account.prompt_ns += done.counts.total_ns - done.counts.load_ns
