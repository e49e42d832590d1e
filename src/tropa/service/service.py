"""The service: one function for each thing a client can ask of a model. Every dialect ends here."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from tropa.library.model import Model
from tropa.runners.herd import Herd, Slot
from tropa.service import relay
from tropa.service.asks import ChatAsk, GenerateAsk, Sampled
from tropa.service.constraint import check_think, schema, thinking
from tropa.service.errors import InvalidRequest, NotCapable
from tropa.service.events import Counts, End, Event, Piece, Rendered
from tropa.service.messages import as_openai, conversation
from tropa.service.models import Models
from tropa.service.options import Options

MILLISECOND = 1_000_000  # nanoseconds


class Service:
    """Stateless: models come from the library, slots from the herd."""

    def __init__(self, models: Models, herd: Herd) -> None:
        self.models = models
        self.herd = herd

    async def generate(self, ask: GenerateAsk) -> AsyncGenerator[Event, None]:
        """Complete a prompt. An empty one loads the model, or unloads it with `keep_alive` 0."""
        clock = _Clock()
        _check_sampled(ask)
        model = self.models.find(ask.model)
        if not ask.prompt and not ask.images and ask.keep_alive == 0:
            yield self._unload(model)
            return
        if ask.raw and (ask.system or ask.template or ask.context):
            raise InvalidRequest("raw mode does not support template, system, or context")
        told = thinking(model, ask.model, ask.think)
        if not model.can("completion"):
            raise NotCapable(f'"{ask.model}" does not support generate')
        if ask.suffix:
            raise NotCapable(f"{model.name.full} does not support insert")
        if ask.template:
            raise InvalidRequest(
                "a template with the request is not supported yet by this version of Tropa; "
                "the model's own is used when the field is left out"
            )
        options = self.models.options(model, dict(ask.options))
        loadable = self.models.loadable(model)
        async with self.herd.slot(loadable, ask.client, options.want(ask.keep_alive)) as slot:
            clock.loaded()
            if not ask.prompt and not ask.images:
                yield End("load")
                return
            body = _sampling(ask, options)
            if ask.raw:
                events = relay.completion(slot, {**body, "prompt": ask.prompt}, ask.top_logprobs)
                if ask.render_only:
                    yield Rendered(ask.prompt)
                    return
            else:
                messages = _generate_messages(model, ask)
                if ask.render_only:
                    yield Rendered(await _render(slot, messages, told), len(ask.images))
                    return
                if ask.context is None:
                    events = relay.chat(slot, {**body, **told, "messages": messages}, ask.top_logprobs)
                else:
                    earlier = await slot.call("/detokenize", {"tokens": list(ask.context)})
                    prompt = earlier["content"] + await _render(slot, messages, told)
                    events = relay.completion(slot, {**body, "prompt": prompt}, ask.top_logprobs)
            text: list[str] = []
            async with aclosing(events):
                async for event in events:
                    if isinstance(event, Piece):
                        text.append(event.text)
                        yield event
                    else:
                        context = None
                        if not ask.raw:
                            whole = await self._spoken(slot, ask, messages, told)
                            context = await _tokens(slot, whole + "".join(text))
                        yield clock.end(event, context)

    async def chat(self, ask: ChatAsk) -> AsyncGenerator[Event, None]:
        """Answer a conversation. No messages: load the model, or unload it with `keep_alive` 0."""
        clock = _Clock()
        _check_sampled(ask)
        if not ask.model.strip():
            raise InvalidRequest("model is required")
        model = self.models.find(ask.model)
        if not ask.messages and ask.keep_alive == 0:
            yield self._unload(model)
            return
        told = thinking(model, ask.model, ask.think)
        if not model.can("completion"):
            raise NotCapable(f'"{ask.model}" does not support chat')
        if ask.tools and not model.can("tools"):
            raise NotCapable(f"{model.name.full} does not support tools")
        options = self.models.options(model, dict(ask.options))
        loadable = self.models.loadable(model)
        async with self.herd.slot(loadable, ask.client, options.want(ask.keep_alive)) as slot:
            clock.loaded()
            if not ask.messages:
                yield End("load")
                return
            messages = conversation(model, ask.messages)
            if ask.tools:
                told["tools"] = list(ask.tools)
            if ask.render_only:
                images = sum(len(message.get("images", ())) for message in ask.messages)
                yield Rendered(await _render(slot, messages, told), images)
                return
            body = {**_sampling(ask, options), **told, "messages": messages}
            events = relay.chat(slot, body, ask.top_logprobs)
            async with aclosing(events):
                async for event in events:
                    yield event if isinstance(event, Piece) else clock.end(event)

    def _unload(self, model: Model) -> End:
        self.herd.unload(self.models.loadable(model).demand.key)
        return End("unload")

    async def _spoken(
        self, slot: Slot, ask: GenerateAsk, messages: list[dict[str, Any]], told: dict[str, Any]
    ) -> str:
        """The text that the model was given, for the `context` of the answer."""
        earlier = ""
        if ask.context:
            earlier = (await slot.call("/detokenize", {"tokens": list(ask.context)}))["content"]
        return earlier + await _render(slot, messages, told)


class _Clock:
    """Measures one request, from its arrival to its end."""

    def __init__(self) -> None:
        self._start = time.monotonic_ns()
        self._load = 0

    def loaded(self) -> None:
        """A slot is ours: everything until now was queueing and loading."""
        self._load = time.monotonic_ns() - self._start

    def end(self, finish: relay.Finish, context: tuple[int, ...] | None = None) -> End:
        timings = finish.timings
        return End(
            finish.reason,
            Counts(
                total_ns=time.monotonic_ns() - self._start,
                load_ns=self._load,
                prompt_tokens=timings.cache_n + timings.prompt_n,
                cached_tokens=timings.cache_n,
                prompt_ns=int(timings.prompt_ms * MILLISECOND),
                tokens=timings.predicted_n,
                generation_ns=int(timings.predicted_ms * MILLISECOND),
            ),
            context,
        )


def _check_sampled(ask: Sampled) -> None:
    if not 0 <= ask.top_logprobs <= 20:
        raise InvalidRequest("top_logprobs must be between 0 and 20")
    check_think(ask.think)


def _sampling(ask: Sampled, options: Options) -> dict[str, Any]:
    """What generate and chat tell the engine alike, in words that both of its routes know."""
    body = options.sampling()
    body["n_predict"] = options.num_predict
    if constraint := schema(ask.format):
        body["json_schema"] = constraint
    if ask.logprobs:
        body["logprobs"] = True
        body["top_logprobs"] = body["n_probs"] = max(1, ask.top_logprobs)
    return body


def _generate_messages(model: Model, ask: GenerateAsk) -> list[dict[str, Any]]:
    """A generate is a chat of one message. With a `context` the model's own messages have been said already."""
    user: dict[str, Any] = {"role": "user", "content": ask.prompt, "images": list(ask.images)}
    system = ask.system or model.system
    if ask.context is not None:
        return [as_openai(m) for m in ([{"role": "system", "content": system}] if system else []) + [user]]
    messages = [{"role": "system", "content": ask.system}, user] if ask.system else [user]
    return conversation(model, messages)


async def _render(slot: Slot, messages: list[dict[str, Any]], told: dict[str, Any]) -> str:
    answer = await slot.call("/apply-template", {"messages": messages, **told})
    prompt = answer["prompt"]
    assert isinstance(prompt, str)
    return prompt


async def _tokens(slot: Slot, text: str) -> tuple[int, ...]:
    answer = await slot.call("/tokenize", {"content": text, "add_special": False, "parse_special": True})
    return tuple(answer["tokens"])
