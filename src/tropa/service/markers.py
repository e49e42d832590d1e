"""What in a text an engine could take for one of the model's special tokens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tropa.library.specials import specials
from tropa.runners.herd import Slot

NOTE = "markers"
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
    """Of a model file."""
    words = specials(weights)
    return Markers(None if words is None else frozenset(USUAL) | {word[0] for word in words if word})
