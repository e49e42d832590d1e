"""`_debug_render_only`: the prompt as it would be sent, and nothing generated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from tropa.library.model import Model
from tropa.runners.errors import ContextExceeded
from tropa.runners.herd import Slot
from tropa.service import history
from tropa.service.conversing import shortened
from tropa.service.events import Rendered
from tropa.service.history import Message
from tropa.service.media import tokens as room_for
from tropa.service.models import Models
from tropa.service.options import Options
from tropa.service.wording import TextWording, Wording

SPECIAL = 8  # tokens that an engine may add to a prompt, generously


async def unloaded(
    models: Models,
    model: Model,
    wording: Wording,
    messages: Sequence[Message],
    options: Options,
    truncate: bool | None,
) -> Rendered | None:
    """Without even loading the model; None where that takes an engine: to render, or to count what may be too much."""
    if not isinstance(wording, TextWording) or wording.needs_engine:
        return None
    prompt = await wording.render(cast("Slot", None), messages)
    least = options.values.get("num_ctx") or models.usual_context
    least = min(least, model.context_length or least)
    most = len(prompt.text.encode(errors="replace")) + SPECIAL + await room_for(prompt.images)
    if truncate is not False and most >= least and history.starts(messages):
        return None
    return Rendered(prompt.text, len(prompt.images))


async def rendered(
    slot: Slot, wording: Wording, messages: Sequence[Message], truncate: bool | None
) -> Rendered:
    """With old messages left out, as they would be. A prompt that is too long all the same is shown as it is."""
    if truncate is not False and history.starts(messages):
        tokens = await wording.count(slot, messages)
        if tokens >= slot.context:
            try:
                messages, _ = await shortened(slot, wording, messages, tokens)
            except ContextExceeded:
                messages = history.kept(messages, history.starts(messages)[-1])
    prompt = await wording.prompt(slot, messages)
    return Rendered(prompt.text, len(prompt.images))
