"""What must be known of a runner's tokens to put a prompt together: asked once, kept with the runner."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tropa.runners.herd import Slot
from tropa.service.messages import MARK
from tropa.service.prompt import Prompt

_NOTE = "vocabulary"
_LETTER = "a"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`bos` is the text of the token that the engine itself puts in front of each prompt (nothing, if it puts none);
    `media` stands in a prompt where a picture belongs."""

    bos: str
    media: str

    def undoubled(self, text: str) -> str:
        """A prompt without the beginning that the engine would write a second time. One only: more were meant."""
        return text.removeprefix(self.bos) if self.bos else text

    def given(self, prompt: Prompt) -> Any:
        """The prompt in the engine's words. An image goes where its mark stands; without a mark it is not seen."""
        text = self.undoubled(prompt.text)
        if not prompt.images:
            return text
        data: list[str] = []

        def media(mark: re.Match[str]) -> str:
            number = int(mark[1])
            if number >= len(prompt.images):
                return mark[0]
            data.append(prompt.images[number])
            return self.media

        text = MARK.sub(media, text)
        return {"prompt_string": text, "multimodal_data": data} if data else text

    def marked(self, text: str, images: Sequence[str]) -> Prompt:
        """A text that an engine rendered, as a prompt of ours."""
        if images:
            first, *rest = text.split(self.media)
            text = first + "".join(f"[img-{number}]{part}" for number, part in enumerate(rest))
        return Prompt(text, images)


async def vocabulary(slot: Slot) -> Vocabulary:
    """Of the model in this runner."""
    known = slot.notes.get(_NOTE)
    if isinstance(known, Vocabulary):
        return known
    props = await slot.props()
    with_special = await _ids(slot, add_special=True)
    plain = await _ids(slot, add_special=False)
    adds = len(with_special) > len(plain) and with_special[1 : 1 + len(plain)] == plain
    found = Vocabulary(
        bos=str(props.get("bos_token") or "") if adds else "", media=str(props.get("media_marker") or "")
    )
    slot.notes[_NOTE] = found
    return found


async def _ids(slot: Slot, *, add_special: bool) -> list[int]:
    question = {"content": _LETTER, "add_special": add_special, "parse_special": False}
    ids: list[int] = (await slot.call("/tokenize", question))["tokens"]
    return ids
