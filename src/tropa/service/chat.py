"""A chat: a conversation in, the next message out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from tropa.library.model import Model
from tropa.runners.herd import Herd
from tropa.service import debugging, forms, sampling, templating, toolchoice
from tropa.service.asks import ChatAsk
from tropa.service.clock import Clock
from tropa.service.constraint import effective, thinks, told
from tropa.service.conversing import converse
from tropa.service.errors import InvalidRequest, NotCapable
from tropa.service.events import End, Event
from tropa.service.media import check as check_media
from tropa.service.messages import conversation, media
from tropa.service.models import Models
from tropa.service.webp import readable
from tropa.service.wording import EngineWording, TextWording, Wording, by_template


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
    think = effective(model, ask.model, ask.think)
    if not model.can("completion"):
        raise NotCapable(f'"{ask.model}" does not support chat')
    await check_media(model, ask.model, media(ask.messages))
    if ask.tools and not model.can("tools"):
        raise NotCapable(f"{model.name.full} does not support tools")
    if not all(_named(tool) for tool in ask.tools):
        raise InvalidRequest("a tool has no function name: no model could call it")
    toolchoice.check(ask.tools)
    # Nothing is loaded for a format that is none.
    form = await forms.form(ask.format) if ask.messages else None
    options = models.options(model, ask.options)
    messages = conversation(model, await readable(ask.messages))
    wording = await word(model, ask, think, models.go_template)
    early = ask.render_only and ask.messages
    if early and (found := await debugging.unloaded(models, model, wording, messages, options, ask.truncate)):
        yield found
        return
    async with herd.slot(models.loadable(model), ask.client, options.want(ask.keep_alive)) as slot:
        clock.granted()
        if not ask.messages:
            yield End("load")
            return
        if ask.render_only:
            yield await debugging.rendered(slot, wording, messages, ask.truncate)
            return
        body = sampling.body(ask, options, slot.context, form)
        async with aclosing(converse(slot, wording, messages, body, clock, truncate=ask.truncate)) as events:
            async for event in events:
                yield event


async def word(model: Model, ask: ChatAsk, think: bool | str | None, go_template: bool | None) -> Wording:
    """How this chat is put to the engine. Raises TemplateSyntaxError."""
    template = await templating.chosen(model, go_template)
    # A call that is required is asked for by its form (toolchoice.py): there is nothing to choose, nor to listen for.
    choosing = bool(ask.tools) and ask.tool_choice == "auto"
    if template is None:
        words = {**told(think), **_tools(ask)}
        if think and ask.thinking_budget is not None:
            words["thinking_budget_tokens"] = ask.thinking_budget
        may_think = thinks(model, think)
        return EngineWording(
            words, ask.top_logprobs, choosing=choosing, thinks=may_think, name_stop=ask.name_stop
        )
    names = [_named(tool) for tool in ask.tools]
    return TextWording(
        by_template(template, ask.tools, think),
        thinking=template.thinking if think else None,
        calls=(template.tool_tag or "{", names) if choosing else None,
        top=ask.top_logprobs,
    )


def _named(tool: Mapping[str, Any]) -> str:
    return str((tool.get("function") or {}).get("name") or "")


def _tools(ask: ChatAsk) -> dict[str, Any]:
    """In the words of an engine that renders them and finds the calls itself."""
    if not ask.tools:
        return {}
    found: dict[str, Any] = {"tools": list(ask.tools), "tool_choice": "auto"}
    if ask.parallel_tool_calls is not None:
        found["parallel_tool_calls"] = ask.parallel_tool_calls
    return found
