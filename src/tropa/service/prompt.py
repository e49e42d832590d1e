"""Questions about text that an engine answers without generating: rendering and tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tropa.runners.herd import Slot


async def render(slot: Slot, messages: list[dict[str, Any]], told: dict[str, Any]) -> str:
    """The prompt that the model's own template makes of a conversation."""
    answer = await slot.call("/apply-template", {"messages": messages, **told})
    return str(answer["prompt"])


async def tokens(slot: Slot, text: str) -> tuple[int, ...]:
    """Ids of the tokens of `text`, special ones recognised, none added."""
    answer = await slot.call("/tokenize", {"content": text, "add_special": False, "parse_special": True})
    return tuple(answer["tokens"])


async def text(slot: Slot, ids: Sequence[int]) -> str:
    """What the tokens say."""
    if not ids:
        return ""
    answer = await slot.call("/detokenize", {"tokens": list(ids)})
    return str(answer["content"])
