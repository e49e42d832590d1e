"""What in a text an engine could take for one of the model's special tokens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tropa.errors import TropaError
from tropa.gguf.recent import recent
from tropa.gguf.value import Array
from tropa.runners.herd import Slot

NOTE = "markers"
TYPES, WORDS = "tokenizer.ggml.token_type", "tokenizer.ggml.tokens"
UNKNOWN, CONTROL = 2, 3  # the types that are special tokens only to who asks for them
USUAL = "<[{|"
"""Engines take some words for special whatever the file says of them; all such have one of these characters."""


@dataclass(frozen=True, slots=True)
class Markers:
    """`beginnings`: the characters with which special tokens begin; None: anything could be one."""

    beginnings: frozenset[str] | None

    def absent(self, text: str) -> bool:
        """Whether every way of reading `text` gives the same tokens. No is said too often rather than too seldom."""
        return self.beginnings is not None and not any(each in text for each in self.beginnings)


async def markers(slot: Slot, weights: Path) -> Markers:
    """Of the model in this runner: read from its file once, kept with the runner."""
    known = slot.notes.get(NOTE)
    if not isinstance(known, Markers):
        known = slot.notes[NOTE] = await asyncio.to_thread(read, weights)
    return known


def read(weights: Path) -> Markers:
    """Of a model file. A vocabulary of 250,000 words takes a tenth of a second."""
    try:
        metadata = recent.read(weights).metadata
        types, words = metadata.get(TYPES), metadata.get(WORDS)
        if not isinstance(types, Array) or not isinstance(words, Array):
            return Markers(None)
        special = [index for index, kind in enumerate(types.values()) if kind in (UNKNOWN, CONTROL)]
        spelled = words.values(lossy=True) if special else ()
        found = [spelled[index] for index in special if index < len(spelled)]
    except TropaError:  # the file has gone or changed: the engine knows better
        return Markers(None)
    return Markers(frozenset(USUAL) | {word[0] for word in found if isinstance(word, str) and word})
