"""Many texts as tokens, in one question to the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tropa.runners.herd import Slot

BORDER = (1 << 31) - 1  # no vocabulary has that many tokens: what the engine hands back as it came
PROBE = "a"
NOTE = "frame"


@dataclass(frozen=True, slots=True)
class Frame:
    """What the model's tokenizer puts before and behind a text."""

    before: tuple[int, ...]
    behind: tuple[int, ...]


async def framed(slot: Slot, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, the model's special ones around them. What looks like one in a text is text."""
    frame = slot.notes.get(NOTE)
    if frame is None:
        frame = slot.notes[NOTE] = await _frame(slot)
    return [[*frame.before, *tokens, *frame.behind] for tokens in await plain(slot, texts)]


async def plain(slot: Slot, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, and nothing else."""
    if not texts:
        return []
    content: list[str | int] = []
    for text in texts:
        content += [text, BORDER]
    found: list[list[int]] = [[]]
    for token in await _tokenize(slot, content, special=False):
        if token == BORDER:
            found.append([])
        else:
            found[-1].append(token)
    return found[:-1]


async def _frame(slot: Slot) -> Frame:
    bare = await _tokenize(slot, [PROBE, BORDER], special=False)
    whole = await _tokenize(slot, PROBE, special=True)
    inner = bare[:-1]
    for start in range(len(whole) - len(inner) + 1):
        if whole[start : start + len(inner)] == inner:
            return Frame(tuple(whole[:start]), tuple(whole[start + len(inner) :]))
    return Frame((), ())


async def _tokenize(slot: Slot, content: str | list[str | int], *, special: bool) -> list[int]:
    answer = await slot.call(
        "/tokenize", {"content": content, "add_special": special, "parse_special": False}
    )
    tokens: list[int] = answer["tokens"]
    return tokens
