"""Wrapping a text that is still arriving, on a terminal that has already shown the start of the word.

A word that turns out not to fit is taken back and printed again on the next line.
"""

from __future__ import annotations

import unicodedata

from tropa.text.table import cells_wide

_NARROWEST = 10
"""Below this many columns nothing is wrapped: the terminal does it better."""

_CLEAR_TO_END = "\x1b[K"
_TAB = 8


class Wrapper:
    """`feed` gives what to print for the next piece. Escape codes are in it only where a word moves."""

    def __init__(self, columns: int) -> None:
        self._columns = 0
        self._column = 0
        self._word = ""
        self.resize(columns)

    def resize(self, columns: int) -> None:
        """The terminal is so wide from now on. A line that had become too long for it, it has broken by itself."""
        if columns != self._columns:
            self._columns = columns
            self._limit = columns - 5 if columns >= _NARROWEST else None
            self._longest = columns - 10
            self._column %= max(columns, 1)

    def feed(self, text: str) -> str:
        if self._limit is None:
            return text
        return "".join(self._char(char, self._limit) for char in text)

    def _char(self, char: str, limit: int) -> str:
        if char in "\r\n":
            self._column, self._word = 0, ""
            return char
        wide = _TAB - self._column % _TAB if char == "\t" else cells_wide(char)
        if self._column + wide > limit:
            return self._next_line(char, wide)
        self._column += wide
        if char in " \t" or _ends_word(char, wide):
            self._word = ""
        else:
            self._word += char
        return char

    def _next_line(self, char: str, wide: int) -> str:
        if char in " \t":
            self._column, self._word = 0, ""
            return "\n"
        carried = cells_wide(self._word)
        if (
            not carried or _ends_word(char, wide) or carried > self._longest
        ):  # nothing to carry, or it would not help
            self._column, self._word = wide, "" if _ends_word(char, wide) else char
            return "\n" + char
        self._word += char
        self._column = carried + wide
        return f"\x1b[{carried}D{_CLEAR_TO_END}\n{self._word}"


def _ends_word(char: str, wide: int) -> bool:
    """After a wide character (Chinese, Japanese) a line may always break. After a symbol (emoji, flags) it has to: how
    many columns it takes with what follows is for each terminal to say, so none of them is ever taken back.
    """
    return wide > 1 or (char > "\u2000" and unicodedata.category(char) == "So")


def printable(text: str) -> str:
    """`text` without the control characters that could move the cursor, change colours or worse."""
    if text.isprintable():
        return text
    return "".join(char for char in text if char in "\n\t" or not _is_control(char))


def _is_control(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f"
