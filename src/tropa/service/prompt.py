"""Questions about text that an engine answers without generating: rendering and tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tropa.runners.errors import EngineRefused
from tropa.runners.herd import Slot
from tropa.service.errors import InvalidRequest
from tropa.service.options import MOST_TOKENS

FOREIGN = "context holds numbers that are no tokens of this model: it comes from another one, or was changed"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text to be continued. `[img-0]` in it stands for the first of the images (base64), and so on."""

    text: str
    images: Sequence[str] = ()


async def render(slot: Slot, messages: list[dict[str, Any]], told: Mapping[str, Any]) -> str:
    """The prompt that the model's own template makes of a conversation."""
    answer = await slot.call("/apply-template", {"messages": messages, **told})
    return str(answer["prompt"])


async def tokens(slot: Slot, text: str) -> tuple[int, ...]:
    """Ids of the tokens of `text`, special ones recognised, none added."""
    answer = await slot.call("/tokenize", {"content": text, "add_special": False, "parse_special": True})
    return tuple(answer["tokens"])


async def length(slot: Slot, text: str) -> int:
    """How many tokens the engine makes of a prompt, those included that it adds."""
    answer = await slot.call("/tokenize", {"content": text, "add_special": True, "parse_special": True})
    return len(answer["tokens"])


async def text(slot: Slot, ids: Sequence[int]) -> str:
    """What the tokens say. Raises InvalidRequest for what is no token of this model."""
    if not ids:
        return ""
    if not all(0 <= number < MOST_TOKENS for number in ids):
        raise InvalidRequest(FOREIGN)
    try:
        answer = await slot.call("/detokenize", {"tokens": list(ids)})
    except EngineRefused as exc:
        raise InvalidRequest(FOREIGN) from exc
    return str(answer["content"])
