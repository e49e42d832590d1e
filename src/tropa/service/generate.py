"""A generate: one prompt in, its completion out. Unless it is raw, a chat of one message in other clothes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from tropa.library.model import Model
from tropa.runners.herd import Herd
from tropa.service import debugging, forms, prompt, sampling, templating
from tropa.service.asks import GenerateAsk
from tropa.service.clock import Clock
from tropa.service.constraint import effective, thinks, told
from tropa.service.conversing import converse
from tropa.service.errors import InvalidRequest, NotCapable
from tropa.service.events import End, Event
from tropa.service.history import Message
from tropa.service.media import check as check_media
from tropa.service.messages import USUAL_THINKING, seeds
from tropa.service.models import Models
from tropa.service.prompt import Prompt
from tropa.service.webp import readable_images
from tropa.service.wording import EngineWording, TextWording, Wording, after, as_it_is, by_engine, by_template


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
    think = effective(model, ask.model, ask.think)
    if not model.can("completion"):
        raise NotCapable(f'"{ask.model}" does not support generate')
    await check_media(model, ask.model, ask.images)
    if ask.suffix and not model.can("insert"):
        raise NotCapable(f"{model.name.full} does not support insert")
    # Nothing is loaded for a format that is none.
    form = None if empty else await forms.form(ask.format)
    options = models.options(model, ask.options)
    ask = replace(ask, images=await readable_images(ask.images))
    wording = await word(model, ask, think, models.go_template)
    messages = said(model, ask)
    # Only a conversation can lose its oldest part; a prompt that stands for itself fits or does not.
    truncate = ask.truncate if not (ask.raw or ask.suffix or ask.template) else False
    early = ask.render_only and not empty
    if early and (found := await debugging.unloaded(models, model, wording, messages, options, truncate)):
        yield found
        return
    async with herd.slot(models.loadable(model), ask.client, options.want(ask.keep_alive)) as slot:
        clock.granted()
        if empty:
            yield End("load")
            return
        if ask.render_only:
            yield await debugging.rendered(slot, wording, messages, truncate)
            return
        body = sampling.body(ask, options, slot.context, form)
        async with aclosing(converse(slot, wording, messages, body, clock, truncate=truncate)) as events:
            async for event in events:
                if isinstance(event, End) and not ask.raw:
                    yield replace(event, context=await prompt.tokens(slot, await wording.transcript(slot)))
                else:
                    yield event


def said(model: Model, ask: GenerateAsk) -> list[Message]:
    """The prompt as a conversation. With a `context`, even an empty one, the model's own messages count as said."""
    user: Message = {"role": "user", "content": ask.prompt, "images": list(ask.images)}
    system = ask.system or model.system
    front: list[Message] = [{"role": "system", "content": system}] if system else []
    return [*front, *(seeds(model) if ask.context is None else ()), user]


async def word(model: Model, ask: GenerateAsk, think: bool | str | None, go_template: bool | None) -> Wording:
    """How this prompt is put to the engine. Raises TemplateSyntaxError."""
    own = await templating.for_prompts(model, go_template)
    tags = None
    if think:
        tags = own.thinking if own is not None else USUAL_THINKING
    if ask.raw:
        # The engine's own template may have other tags than the usual ones; what is raw is left alone then.
        return TextWording(
            as_it_is(Prompt(ask.prompt, ask.images)), tags if own is not None else None, top=ask.top_logprobs
        )
    if ask.suffix:
        template = await templating.parsed(ask.template) if ask.template else own
        if template is None:
            raise NotCapable(f"{model.name.full} does not support insert")
        return TextWording(templating.filled(template, ask.prompt, ask.suffix, think), top=ask.top_logprobs)
    if ask.template:
        template = await templating.parsed(ask.template)
        render = by_template(template, (), think)
        tags = (template.thinking or tags) if think else None
    elif own is not None:
        render = by_template(own, (), think)
    elif ask.context is None:
        return EngineWording(told(think), ask.top_logprobs, watched=True, thinks=thinks(model, think))
    else:
        render = by_engine(told(think))
    needs_engine = own is None and not ask.template
    if ask.context:
        needs_engine = True
        render = after(ask.context, render)
    return TextWording(render, tags, top=ask.top_logprobs, needs_engine=needs_engine)
