"""Markdown made legible while it arrives, without changing a letter of it.

Only colours and weights are added: the marks stay, so what is copied from the terminal is the text that the model
wrote, nothing ever has to be drawn a second time, and a stream may be cut anywhere. What can't be judged yet (a `*` at
the end of a piece, a line of code) is held back until it can, or until the end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pygments.lexer import Lexer

GREY, BOLD, ITALIC, CODE, MARK = "38;5;245", "1", "3", "36", "33"

# By the first part of the token's name that is listed; a longer name comes first.
_TOKENS = (
    ("Comment", GREY),
    ("Keyword", "35"),
    ("Literal.String", "32"),
    ("Literal.Number", "33"),
    ("Name.Function", "34"),
    ("Name.Class", "34"),
    ("Name.Tag", "34"),
    ("Name.Builtin", "36"),
    ("Name.Decorator", "36"),
)
_BLOCK = 8_000
"""Characters of one block of code up to which it is read from its beginning for every line, so that strings over
several lines are known as such. Beyond, each line is read by itself: the work must not grow with the square."""

_BEGINNING = frozenset(" \t#`~>*+-.)0123456789")
_LONGEST_BEGINNING = 60
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")
_ITEM = re.compile(r"[ \t]*([-+*]|\d{1,9}[.)])[ \t]+")
_QUOTE = re.compile(r" {0,3}>[ \t]?")


class Span(NamedTuple):
    """Text and how it looks, as parameters of SGR. Code is not to be wrapped: copied, it has to work."""

    text: str
    style: str = ""
    wrap: bool = True


class Markdown:
    """Pieces in, spans out. All spans' texts together are the pieces together."""

    def __init__(self) -> None:
        self._beginning: str | None = ""  # of the line, as long as it is not known what the line is
        self._line_style = ""
        self._marks = ""  # a run of one of * and `
        self._before = " "  # the character before the run
        self._bold = self._italic = False
        self._ticks = 0  # how many opened the code that is being written; 0 outside
        self._fence = ""  # what opened the block of code, or nothing
        self._lexer: Lexer | None = None
        self._block = ""  # the code of this block so far
        self._code_line = ""
        self._spans: list[Span] = []

    def feed(self, text: str) -> list[Span]:
        for char in text:
            if self._fence:
                self._code(char)
            elif self._beginning is not None:
                self._begin(char)
            else:
                self._inline(char)
        return self._taken()

    def finish(self) -> list[Span]:
        """What was held back. Nothing may be fed any more."""
        if self._fence:
            self._write_code(self._code_line)
        elif self._beginning is not None:
            self._judge("")
        self._end_marks(" ")
        return self._taken()

    def _taken(self) -> list[Span]:
        spans, self._spans = self._spans, []
        return spans

    def _put(self, text: str, style: str, *, wrap: bool = True) -> None:
        if text:
            self._spans.append(Span(text, style, wrap))

    def _begin(self, char: str) -> None:
        assert self._beginning is not None
        fence = _FENCE.match(self._beginning)
        if char == "\n" or not (fence or char in _BEGINNING) or len(self._beginning) > _LONGEST_BEGINNING:
            if fence and char != "\n" and len(self._beginning) <= _LONGEST_BEGINNING:
                self._beginning += char
                return
            self._judge(char)
        else:
            self._beginning += char

    def _judge(self, char: str) -> None:
        """`char`, if there is one, is the first that tells what sort of line this is."""
        beginning, self._beginning = self._beginning or "", None
        if (fence := _FENCE.match(beginning)) and char == "\n":
            self._put(beginning + char, GREY, wrap=False)
            self._fence, self._block, self._code_line = fence[1], "", ""
            self._lexer = _lexer(beginning[fence.end() :].strip())
            return
        rest = beginning
        if _HEADING.match(beginning):
            self._line_style = BOLD
        elif item := _ITEM.match(beginning):
            self._put(item[0], MARK)
            rest = beginning[item.end() :]
        elif quote := _QUOTE.match(beginning):
            self._put(quote[0], GREY)
            rest = beginning[quote.end() :]
        for each in rest + char:
            self._inline(each)

    def _inline(self, char: str) -> None:
        if char in "*`" and self._before != "\\" and (not self._marks or self._marks[0] == char):
            self._marks += char
            return
        self._end_marks(char)
        if char == "\n":
            self._put(char, "")
            self._beginning, self._line_style, self._before = "", "", " "
            self._bold = self._italic = False
            self._ticks = 0
        elif char in "*`" and self._before != "\\":
            self._marks = char
        else:
            self._put(char, self._style())
            self._before = char

    def _end_marks(self, after: str) -> None:
        """The run of marks is over; `after` comes next."""
        marks, self._marks = self._marks, ""
        if not marks:
            return
        style = self._style()
        if marks[0] == "`":
            if not self._ticks:
                self._ticks = len(marks)
                style = self._style()
            elif self._ticks == len(marks):
                self._ticks = 0
        elif not self._ticks and len(marks) <= 3:
            bold, italic = len(marks) >= 2, len(marks) != 2
            closes = not self._before.isspace() and (self._bold or not bold) and (self._italic or not italic)
            if closes:
                self._bold, self._italic = self._bold and not bold, self._italic and not italic
            elif not after.isspace() and not self._before.isalnum():
                self._bold, self._italic = self._bold or bold, self._italic or italic
                style = self._style()
        self._put(marks, style)
        self._before = marks[0]

    def _style(self) -> str:
        if self._ticks:
            return CODE
        bold = BOLD if self._bold or self._line_style else ""
        return ";".join(each for each in (bold, ITALIC if self._italic else "") if each)

    def _code(self, char: str) -> None:
        self._code_line += char
        if char != "\n":
            return
        line, self._code_line = self._code_line, ""
        mark = line.strip()
        if mark.startswith(self._fence) and not mark.strip(self._fence[0]):
            self._put(line, GREY, wrap=False)
            self._fence, self._lexer = "", None
            self._beginning, self._before = "", " "
        else:
            self._write_code(line)

    def _write_code(self, line: str) -> None:
        for text, style in _coloured(self._lexer, self._block, line):
            self._put(text, style, wrap=False)
        self._block = self._block + line if len(self._block) < _BLOCK else ""
        self._code_line = ""


def _lexer(language: str) -> Lexer | None:
    """Of the first word after the fence; None for what nobody knows."""
    word = re.split(r"[\s{,:]", language, maxsplit=1)[0]
    if not word:
        return None
    from pygments.lexers import get_lexer_by_name  # late: only who gets code needs it
    from pygments.util import ClassNotFound

    try:
        return get_lexer_by_name(word, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _coloured(lexer: Lexer | None, before: str, line: str) -> list[tuple[str, str]]:
    """`line` in parts with their styles, read as what follows `before`."""
    if lexer is None:
        return [(line, CODE)]
    parts: list[tuple[str, str]] = []
    skip = len(before)
    for token, text in lexer.get_tokens(before + line):
        left, skip = text[skip:], max(0, skip - len(text))
        if left:
            name = str(token).removeprefix("Token.")
            parts.append((left, next((style for kind, style in _TOKENS if name.startswith(kind)), "")))
    if "".join(text for text, _ in parts) != line:  # some lexers tidy what they read
        return [(line, CODE)]
    return parts
