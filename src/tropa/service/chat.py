"""A chat: a conversation in, the next message out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from tropa.library.model import Model
from tropa.runners.herd import Herd
from tropa.service import prompt, relay, sampling
from tropa.service.asks import ChatAsk
from tropa.service.clock import Clock
from tropa.service.constraint import thinking
from tropa.service.errors import InvalidRequest, NotCapable
from tropa.service.events import End, Event, Piece, Rendered
from tropa.service.messages import check_images, conversation
from tropa.service.models import Models


async def chat(
    models: Models, herd: Herd, ask: ChatAsk, unload: Callable[[Model], End]
) -> AsyncGenerator[Event, None]:
    """See Service.chat. The order of the checks decides which error wins, as in the reference."""
    clock = Clock()
    sampling.check(ask)
    if not ask.model.strip():
        raise InvalidRequest("model is required")
    model = models.find(ask.model)
    if not ask.messages and ask.keep_alive == 0:
        yield unload(model)
        return
    told = thinking(model, ask.model, ask.think)
    if not model.can("completion"):
        raise NotCapable(f'"{ask.model}" does not support chat')
    check_images(model, ask.model, any(message.get("images") for message in ask.messages))
    if ask.tools and not model.can("tools"):
        raise NotCapable(f"{model.name.full} does not support tools")
    options = models.options(model, ask.options)
    async with herd.slot(models.loadable(model), ask.client, options.want(ask.keep_alive)) as slot:
        clock.granted()
        if not ask.messages:
            yield End("load")
            return
        messages = conversation(model, ask.messages)
        if ask.tools:
            told["tools"] = list(ask.tools)
            told["tool_choice"] = ask.tool_choice
            if ask.parallel_tool_calls is not None:
                told["parallel_tool_calls"] = ask.parallel_tool_calls
        if ask.render_only:
            images = sum(len(message.get("images", ())) for message in ask.messages)
            yield Rendered(await prompt.render(slot, messages, told), images)
            return
        body = {**sampling.body(ask, options, slot.context), **told, "messages": messages}
        answer = relay.chat(slot, body, ask.top_logprobs)
        async with aclosing(answer if options.num_predict else relay.mute(answer)) as events:
            async for event in events:
                yield event if isinstance(event, Piece) else End(event.reason, clock.counts(event.timings))
