"""Thinking told from the answer, in text that comes in pieces cut anywhere."""

from __future__ import annotations

from enum import Enum, auto


class _State(Enum):
    LOOKING = auto()
    OPENED = auto()
    THINKING = auto()
    CLOSED = auto()
    ANSWERING = auto()


class ThinkingParser:
    """`feed` pieces, then `finish`: each returns (thinking, content). However the text is cut, the sums are the same.

    Only a tag that opens the text counts (blanks may stand before it). Blanks next to the inner sides of the tags
    and before the answer are dropped; nothing else is.
    """

    def __init__(self, opening: str, closing: str, *, inside: bool = False) -> None:
        """`inside`: the prompt ended with the opening tag, so the text begins with a thought."""
        self._opening = opening
        self._closing = closing
        self._state = _State.OPENED if inside else _State.LOOKING
        self._held = ""

    @property
    def thinking(self) -> bool:
        """Whether a thought has begun and not ended."""
        return self._state in (_State.OPENED, _State.THINKING)

    @property
    def answering(self) -> bool:
        """Whether all that comes now is content."""
        return self._state is _State.ANSWERING

    def feed(self, text: str) -> tuple[str, str]:
        """What this piece makes certain."""
        if self._state is _State.ANSWERING:
            return "", text
        self._held += text
        if self._state is _State.LOOKING:
            start = self._held.lstrip()
            if start.startswith(self._opening):
                self._state = _State.OPENED
                self._held = start[len(self._opening) :]
            elif self._opening.startswith(start):
                return "", ""
            else:
                return "", self._answer()
        thinking = ""
        if self._state is _State.OPENED:
            self._held = self._held.lstrip()
            if self._held:
                self._state = _State.THINKING
        if self._state is _State.THINKING:
            thinking = self._think()
        if self._state is _State.CLOSED:
            self._held = self._held.lstrip()
            if self._held:
                return thinking, self._answer()
        return thinking, ""

    def finish(self) -> tuple[str, str]:
        """The text ended: what was held back is what it says, and no tag."""
        held, self._held = self._held, ""
        if self._state is _State.LOOKING:
            return "", held
        return (held, "") if self._state is _State.THINKING else ("", "")

    def _think(self) -> str:
        thought, closed, rest = self._held.partition(self._closing)
        if closed:
            self._state = _State.CLOSED
            self._held = rest
            return thought
        held = overlap(thought, self._closing)
        self._held = thought[len(thought) - held :]
        return thought[: len(thought) - held]

    def _answer(self) -> str:
        self._state = _State.ANSWERING
        held, self._held = self._held, ""
        return held


def overlap(text: str, tag: str) -> int:
    """The length of the longest end of `text` that is a proper start of `tag`."""
    for length in range(min(len(text), len(tag) - 1), 0, -1):
        if text.endswith(tag[:length]):
            return length
    return 0
