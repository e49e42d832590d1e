"""Counting the tokens of a prompt without answering it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace

from tropa.library.model import Model
from tropa.runners.herd import Herd
from tropa.service.asks import ChatAsk
from tropa.service.chat import chat
from tropa.service.errors import InvalidRequest
from tropa.service.events import End, Rendered
from tropa.service.models import Models

PER_IMAGE = 768
"""Tokens that an image is taken for: how many it makes is known only when the model has looked at it."""


async def count(models: Models, herd: Herd, ask: ChatAsk, unload: Callable[[Model], End]) -> int:
    """How many tokens the prompt of a chat has: rendered by the model's template, split by its vocabulary. Loads the
    model, which alone knows both."""
    model = models.find(ask.model)
    rendered: Rendered | None = None
    async with aclosing(chat(models, herd, replace(ask, render_only=True), unload)) as events:
        async for event in events:
            if isinstance(event, Rendered):
                rendered = event
    if rendered is None:
        raise InvalidRequest("there is nothing to count: no messages were sent")
    options = models.options(model, ask.options)
    async with herd.slot(models.loadable(model), ask.client, options.want(ask.keep_alive)) as slot:
        body = {"content": rendered.prompt, "add_special": True, "parse_special": True}
        answer = await slot.call("/tokenize", body)
    return len(answer["tokens"]) + PER_IMAGE * rendered.images
