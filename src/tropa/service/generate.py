"""A generate: one prompt in, its completion out. Unless it is raw, a chat of one message in other clothes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from tropa.library.model import Model
from tropa.runners.herd import Herd, Slot
from tropa.service import prompt, relay, sampling
from tropa.service.asks import GenerateAsk
from tropa.service.clock import Clock
from tropa.service.constraint import thinking
from tropa.service.errors import InvalidRequest, NotCapable
from tropa.service.events import End, Event, Piece, Rendered
from tropa.service.messages import as_openai, check_images, conversation
from tropa.service.models import Models


async def generate(
    models: Models, herd: Herd, ask: GenerateAsk, unload: Callable[[Model], End]
) -> AsyncGenerator[Event, None]:
    """See Service.generate. The order of the checks decides which error wins, as in the reference."""
    clock = Clock()
    sampling.check(ask)
    model = models.find(ask.model)
    empty = not ask.prompt and not ask.images
    if empty and ask.keep_alive == 0:
        yield unload(model)
        return
    if ask.raw and (ask.system or ask.template or ask.context):
        raise InvalidRequest("raw mode does not support template, system, or context")
    told = thinking(model, ask.model, ask.think)
    _check_capable(model, ask)
    options = models.options(model, ask.options)
    async with herd.slot(models.loadable(model), ask.client, options.want(ask.keep_alive)) as slot:
        clock.granted()
        if empty:
            yield End("load")
            return
        body = sampling.body(ask, options, slot.context)
        said = _Said(slot, model, ask, told)
        if ask.render_only:
            yield Rendered(await said.prompt(), len(ask.images))
            return
        answer: list[str] = []
        run = await _run(slot, said, body)
        async with aclosing(run if options.num_predict else relay.mute(run)) as events:
            async for event in events:
                if isinstance(event, Piece):
                    answer.append(event.text)
                    yield event
                else:
                    counts = clock.counts(event.timings)
                    context = (
                        None if ask.raw else await prompt.tokens(slot, await said.prompt() + "".join(answer))
                    )
                    yield End(event.reason, counts, context)


def _check_capable(model: Model, ask: GenerateAsk) -> None:
    if not model.can("completion"):
        raise NotCapable(f'"{ask.model}" does not support generate')
    check_images(model, ask.model, bool(ask.images))
    if ask.suffix:
        raise NotCapable(f"{model.name.full} does not support insert")
    if ask.template:
        raise InvalidRequest(
            "a template with the request is not supported yet by this version of Tropa; "
            "leave the field out to use the model's own"
        )


async def _run(slot: Slot, said: _Said, body: dict[str, Any]) -> AsyncGenerator[Piece | relay.Finish, None]:
    """Messages go to the engine as such, so that it tells thinking from text; the rest goes as text."""
    ask = said.ask
    if ask.raw or ask.context is not None:
        return relay.completion(slot, {**body, "prompt": await said.prompt()}, ask.top_logprobs)
    return relay.chat(slot, {**body, **said.told, "messages": said.messages}, ask.top_logprobs)


class _Said:
    """What the model is given: as messages, and as the text that its template makes of them."""

    def __init__(self, slot: Slot, model: Model, ask: GenerateAsk, told: dict[str, Any]) -> None:
        self._slot = slot
        self.ask = ask
        self.told = told
        self.messages = [] if ask.raw else _messages(model, ask)

    async def prompt(self) -> str:
        """The text of an earlier `context`, then the rendered messages; raw: the prompt as it came."""
        if self.ask.raw:
            return self.ask.prompt
        earlier = await prompt.text(self._slot, self.ask.context or ())
        return earlier + await prompt.render(self._slot, self.messages, self.told)


def _messages(model: Model, ask: GenerateAsk) -> list[dict[str, Any]]:
    """With a `context`, even an empty one, the model's own messages count as said already."""
    user: dict[str, Any] = {"role": "user", "content": ask.prompt, "images": list(ask.images)}
    system = [{"role": "system", "content": ask.system}] if ask.system else []
    if ask.context is None:
        return conversation(model, [*system, user])
    if not system and model.system:
        system = [{"role": "system", "content": model.system}]
    return [as_openai(message) for message in (*system, user)]
