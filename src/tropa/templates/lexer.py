"""From text to tokens. Inside `{{ }}` blanks are tokens too: they separate arguments, and `.a .b` is not `.a.b`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from tropa.templates.quoting import quote

LEFT, RIGHT = "{{", "}}"
BLANKS = " \t\r\n"
_DIGITS = "0123456789_"
_SPACES = re.compile(r"[ \t\r\n]+")
_TRIMMED_RIGHT = re.compile(r"[ \t\r\n]-\}\}")
_STRING_END = re.compile(r'(?:[^"\\\n]|\\[^\n])*"')
_CHARACTER_END = re.compile(r"(?:[^'\\\n]|\\[^\n])*'")
_WORD = re.compile(r"\w*")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)


class Kind(Enum):
    TEXT = auto()
    LEFT = auto()
    RIGHT = auto()
    SPACE = auto()
    PIPE = auto()
    OPEN = auto()
    CLOSE = auto()
    ASSIGN = auto()
    DECLARE = auto()
    COMMA = auto()
    FIELD = auto()
    """`.Name`; a chain is several of them without blanks between."""
    VARIABLE = auto()
    IDENTIFIER = auto()
    KEYWORD = auto()
    DOT = auto()
    NIL = auto()
    BOOL = auto()
    NUMBER = auto()
    CHARACTER = auto()
    STRING = auto()
    RAW = auto()
    OTHER = auto()
    """A printable character that means nothing here."""
    END = auto()
    ERROR = auto()
    """The last token; its text is the complaint."""


KEYWORDS = frozenset(
    ("block", "break", "continue", "define", "else", "end", "if", "range", "template", "with")
)
_SIGNS = {"=": Kind.ASSIGN, "|": Kind.PIPE, ",": Kind.COMMA}


class Token(NamedTuple):
    kind: Kind
    text: str
    position: int

    def __str__(self) -> str:
        """As complaints name it."""
        if self.kind is Kind.END:
            return "EOF"
        if self.kind is Kind.ERROR:
            return self.text
        if self.kind in (Kind.KEYWORD, Kind.DOT, Kind.NIL):
            return f"<{self.text}>"
        return (
            quote(self.text)
            if len(self.text.encode(errors="surrogatepass")) <= 10
            else f"{quote(self.text[:10])}..."
        )


def tokens(text: str) -> Iterator[Token]:
    """Ends with END, or with ERROR at the first thing that is no token."""
    return _Lexer(text).run()


def letter(char: str) -> bool:
    """What names consist of: letters and decimal digits of any script, and `_`."""
    return char == "_" or char.isalpha() or char.isdecimal()


class _Wrong(Exception):
    pass


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.start = 0
        self.at = 0
        self.depth = 0

    def run(self) -> Iterator[Token]:
        try:
            while (opening := self.text.find(LEFT, self.at)) >= 0:
                yield from self._text(opening)
                self.start = self.at = opening
                inside = self._enter()
                if inside:
                    yield self._token(Kind.LEFT, LEFT)
                    self.at = self.start = inside
                    yield from self._inside()
            yield from self._text(len(self.text))
            yield Token(Kind.END, "", len(self.text))
        except _Wrong as wrong:
            yield Token(Kind.ERROR, str(wrong), self.start)

    def _text(self, end: int) -> Iterator[Token]:
        found = self.text[self.at : end]
        if self._trims_left(end):
            found = found.rstrip(BLANKS)
        if found:
            yield Token(Kind.TEXT, found, self.at)

    def _trims_left(self, opening: int) -> bool:
        return self.text.startswith("{{-", opening) and self.text[opening + 3 : opening + 4] in tuple(BLANKS)

    def _enter(self) -> int:
        """Past `{{` and a trim marker; past all of it and 0 if it is a comment."""
        inside = self.at + 2
        if self._trims_left(self.at):
            inside += 2
        if not self.text.startswith("/*", inside):
            return inside
        self.start = inside
        end = self.text.find("*/", inside + 2)
        if end < 0:
            raise _Wrong("unclosed comment")
        self.at = end + 2
        if not self._at_right():
            raise _Wrong("comment ends before closing delimiter")
        self._leave()
        return 0

    def _at_right(self) -> bool:
        return self.text.startswith(RIGHT, self.at) or bool(_TRIMMED_RIGHT.match(self.text, self.at))

    def _leave(self) -> None:
        """Past `}}`, and past the blanks after ` -}}`."""
        trims = not self.text.startswith(RIGHT, self.at)
        self.at += 4 if trims else 2
        if trims and (spaces := _SPACES.match(self.text, self.at)):
            self.at = spaces.end()

    def _token(self, kind: Kind, text: str) -> Token:
        token = Token(kind, text, self.start)
        self.start = self.at
        return token

    def _take(self, kind: Kind, end: int) -> Token:
        self.at = end
        return self._token(kind, self.text[self.start : end])

    def _inside(self) -> Iterator[Token]:
        self.depth = 0
        while not self._at_right():
            yield self._next()
        if self.depth:
            raise _Wrong("unclosed left paren")
        closing = self.at
        self._leave()
        yield Token(Kind.RIGHT, RIGHT, closing if self.text.startswith(RIGHT, closing) else closing + 2)
        self.start = self.at

    def _next(self) -> Token:
        text, at = self.text, self.at
        char = text[at : at + 1]
        if not char:
            raise _Wrong("unclosed action")
        if char in BLANKS:
            return self._take(Kind.SPACE, self._past_spaces())
        if char in _SIGNS:
            return self._take(_SIGNS[char], at + 1)
        match char:
            case ":":
                if not text.startswith(":=", at):
                    raise _Wrong("expected :=")
                return self._take(Kind.DECLARE, at + 2)
            case '"':
                return self._quoted(_STRING_END, Kind.STRING, "unterminated quoted string")
            case "'":
                return self._quoted(_CHARACTER_END, Kind.CHARACTER, "unterminated character constant")
            case "`":
                end = text.find("`", at + 1)
                if end < 0:
                    raise _Wrong("unterminated raw quoted string")
                return self._take(Kind.RAW, end + 1)
            case "$":
                return self._name(Kind.VARIABLE)
            case "." if text[at + 1 : at + 2] not in tuple("0123456789"):
                return self._name(Kind.FIELD)
            case "(":
                self.depth += 1
                return self._take(Kind.OPEN, at + 1)
            case ")":
                if not self.depth:
                    raise _Wrong("unexpected right paren")
                self.depth -= 1
                return self._take(Kind.CLOSE, at + 1)
        if char in "+-.0123456789":
            return self._number()
        if letter(char):
            return self._word()
        if char.isascii() and char.isprintable():
            return self._take(Kind.OTHER, at + 1)
        raise _Wrong(f"unrecognized character in action: {_named(char)}")

    def _past_spaces(self) -> int:
        """The blank of a closing ` -}}` belongs to that."""
        spaces = _SPACES.match(self.text, self.at)
        assert spaces is not None
        end = spaces.end()
        if self.text.startswith("-}}", end):
            end -= 1
        return end

    def _quoted(self, pattern: re.Pattern[str], kind: Kind, complaint: str) -> Token:
        found = pattern.match(self.text, self.at + 1)
        if not found:
            raise _Wrong(complaint)
        return self._take(kind, found.end())

    def _end_of_word(self, at: int) -> int:
        found = _WORD.match(self.text, at)
        assert found is not None
        if not found[0].isascii():
            # \w knows some numerals that are neither letters nor decimal digits
            for offset, char in enumerate(found[0]):
                if not letter(char):
                    return at + offset
        return found.end()

    def _name(self, kind: Kind) -> Token:
        """`.Name` or `$name`; `.` and `$` alone mean something too."""
        end = self._end_of_word(self.at + 1)
        self._check_end(end)
        if end == self.at + 1 and kind is Kind.FIELD:
            kind = Kind.DOT
        return self._take(kind, end)

    def _word(self) -> Token:
        end = self._end_of_word(self.at)
        self._check_end(end)
        word = self.text[self.at : end]
        if word in KEYWORDS:
            return self._take(Kind.KEYWORD, end)
        kind = Kind.BOOL if word in ("true", "false") else Kind.NIL if word == "nil" else Kind.IDENTIFIER
        return self._take(kind, end)

    def _check_end(self, end: int) -> None:
        after = self.text[end : end + 1]
        if after and after not in " \t\r\n.,|:()" and not self.text.startswith(RIGHT, end):
            raise _Wrong(f"bad character {_named(after)}")

    def _number(self) -> Token:
        found = _NUMBER.match(self.text, self.at)
        assert found is not None
        end = found.end()
        if letter(self.text[end : end + 1] or " "):
            raise _Wrong(f"bad number syntax: {quote(self.text[self.at : end + 1])}")
        if self.text[end : end + 1] in ("+", "-"):
            second = _NUMBER.match(self.text, end)
            assert second is not None
            end = second.end()
            if letter(self.text[end : end + 1] or " "):
                end += 1
            elif second[0].endswith("i"):
                raise _Wrong(f"complex numbers are not supported: {self.text[self.at : end]}")
            raise _Wrong(f"bad number syntax: {quote(self.text[self.at : end])}")
        return self._take(Kind.NUMBER, end)


def _named(char: str) -> str:
    return f"U+{ord(char):04X}" + (f" '{char}'" if char.isprintable() else "")
