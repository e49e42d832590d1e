"""Counting the tokens of a prompt without answering it."""

from __future__ import annotations

from tropa.runners.herd import Herd
from tropa.service.asks import ChatAsk
from tropa.service.chat import word
from tropa.service.constraint import effective
from tropa.service.errors import NotCapable
from tropa.service.media import check as check_media
from tropa.service.messages import conversation, media
from tropa.service.models import Models


async def count(models: Models, herd: Herd, ask: ChatAsk) -> int:
    """How many tokens the prompt of a chat has, whether they fit or not: rendered by the model's template, split by its
    vocabulary. Loads the model, which alone knows both."""
    model = models.find(ask.model)
    think = effective(model, ask.model, ask.think)
    if not model.can("completion"):
        raise NotCapable(f'"{ask.model}" does not support chat')
    await check_media(model, ask.model, media(ask.messages))
    if ask.tools and not model.can("tools"):
        raise NotCapable(f"{model.name.full} does not support tools")
    options = models.options(model, ask.options)
    wording = await word(model, ask, think, models.go_template)
    async with herd.slot(models.loadable(model), ask.client, options.want(ask.keep_alive)) as slot:
        return await wording.count(slot, conversation(model, ask.messages))
