"""Which of a model's templates makes its prompts: the Go one that its author wrote, or the Jinja one in its GGUF."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tropa.library.capabilities import (
    INSERT,
    THINKING,
    TOOLS,
    go_capabilities,
    jinja_capabilities,
    uses_jinja,
)
from tropa.library.model import Model
from tropa.service.constraint import HARMONY
from tropa.service.history import Message
from tropa.service.prompt import Prompt

if TYPE_CHECKING:  # the interpreter is imported when the first model needs it
    from tropa.templates.template import Template

log = logging.getLogger("tropa.service")

BY_TEMPLATE = (TOOLS, INSERT, THINKING)
PLAIN = "{{ .Prompt }}"
KEPT = 64


def able(model: Model, forced: bool | None) -> Model:
    """The model with the capabilities of the template that is used, where the user's setting decides which."""
    if forced is None:
        return model
    by_go = bool(model.template) and (forced or not model.chat_template)
    found = go_capabilities(model.template or "") if by_go else jinja_capabilities(model.chat_template)
    others = (each for each in model.capabilities if each not in BY_TEMPLATE)
    return replace(model, capabilities=(*others, *(each for each in BY_TEMPLATE if each in found)))


async def chosen(model: Model, forced: bool | None) -> Template | None:
    """The template that we render; None: the engine renders the conversation, by the GGUF's Jinja or its own default.

    `forced` is the user's setting (OLLAMA_GO_TEMPLATE). Raises TemplateSyntaxError.
    """
    text = _text(model, forced)
    return await parsed(text) if text else None


async def for_prompts(model: Model, forced: bool | None) -> Template | None:
    """The same for `generate`: a model without any template gets its prompt as it is."""
    if template := await chosen(model, forced):
        return template
    return None if model.chat_template else await parsed(model.template or PLAIN)


async def parsed(text: str) -> Template:
    """In a thread, since a hostile one takes seconds; some of the latest are kept. Raises TemplateSyntaxError."""
    found = _kept.get(text)
    if found is None:
        found = await asyncio.to_thread(_parse, text)
        while len(_kept) >= KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[text] = found
    return found


_kept: dict[str, Template] = {}


def _parse(text: str) -> Template:
    from tropa.templates.template import Template

    return Template.parse(text)


def rendered(
    template: Template,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]],
    think: bool | str | None,
) -> str:
    """A prompt for the next message. Raises TemplateError."""
    from tropa.templates.chat import Conversation, render

    return render(template, Conversation(messages, tools, think))


def filled(
    template: Template, prompt: str, suffix: str, think: bool | str | None
) -> Callable[[Any, Sequence[Message]], Awaitable[Prompt]]:
    """A prompt for what belongs between `prompt` and `suffix`."""

    async def render(_slot: Any, _messages: Sequence[Message]) -> Prompt:
        from tropa.templates.chat import render_suffix

        return Prompt(await asyncio.to_thread(render_suffix, template, prompt, suffix, think))

    return render


def _text(model: Model, forced: bool | None) -> str | None:
    if wanted := model.renderer or model.parser:
        own = bool(model.chat_template) or not model.template
        _say_fallback(model.name.short, wanted, "its GGUF's own template" if own else "its Go template")
        if own:
            return None
    if not model.template or forced is False:
        return None
    if forced or not model.chat_template:
        return model.template
    better = model.details.family in HARMONY or uses_jinja(model.template, model.chat_template)
    return None if better else model.template


@lru_cache(maxsize=256)
def _say_fallback(name: str, wanted: str, used: str) -> None:
    """Once for each model."""
    log.warning("%s names the renderer or parser %r, which is not known here: %s is used", name, wanted, used)
