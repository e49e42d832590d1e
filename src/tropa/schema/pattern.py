"""Regular expressions of JSON schemas, read into a tree.

Dialects differ in what `\\d`, `\\w`, `\\s`, `.` and `$` mean beyond ASCII. So each class of characters is kept twice:
`sure` matches in every dialect, `maybe` in some. What is written for a pattern is sure to match it; what is written
where a pattern must not match is not even maybe a match.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from tropa.schema import characters
from tropa.schema.characters import Set
from tropa.schema.errors import BadSchema

DEEPEST = 100
MOST_REPEATS = 4_000


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of a set."""

    sure: Set
    maybe: Set


@dataclass(frozen=True, slots=True)
class Sequence:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`most` None: without end."""

    part: Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Edge:
    """The beginning of the text, or its end."""

    start: bool


Node = Chars | Sequence | Choice | Repeat | Edge

_DOT = characters.others(characters.BREAKS)
_SOME = {
    "d": (characters.DIGITS, characters.either(characters.DIGITS, characters.BEYOND_ASCII)),
    "w": (characters.WORD, characters.either(characters.WORD, characters.BEYOND_ASCII)),
    "s": (characters.SPACES, characters.WIDE_SPACES),
}
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}


@dataclass(frozen=True, slots=True)
class Ahead:
    """What the text has to begin with, or must not begin with."""

    node: Node
    wanted: bool


def read(text: str) -> tuple[Node, tuple[Ahead, ...]]:
    """The tree of a pattern, and what else its text has to be: look-aheads are understood at a text's beginning.

    Raises BadSchema, which says what is wrong or not supported, and where.
    """
    return _Reader(text).whole()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def whole(self) -> tuple[Node, tuple[Ahead, ...]]:
        ahead = []
        anchored = self._takes("^")
        while anchored and (wanted := self._text[self._at : self._at + 3]) in ("(?=", "(?!"):
            self._at += 3
            ahead.append(Ahead(self._closed(self._choice()), wanted == "(?="))
        parts = [self._sequence()]
        while self._takes("|"):
            parts.append(self._sequence())
        if self._at < len(self._text):
            self._fail("an unbalanced )")
        if ahead and len(parts) > 1:
            self._fail("a look-ahead in one of several alternatives (not supported)")
        if anchored:  # the ^ belongs to the first alternative alone
            parts[0] = Sequence((Edge(True), parts[0]))
        return Choice(tuple(parts)), tuple(ahead)

    def _closed(self, node: Node) -> Node:
        if not self._takes(")"):
            self._fail("a ( that is not closed")
        return node

    def _fail(self, what: str) -> NoReturn:
        raise BadSchema(f"{what} at character {self._at} of the pattern")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        if self._at >= len(self._text):
            self._fail("an unexpected end")
        self._at += 1
        return self._text[self._at - 1]

    def _takes(self, text: str) -> bool:
        if self._text.startswith(text, self._at):
            self._at += len(text)
            return True
        return False

    def _choice(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            self._fail(f"more than {DEEPEST} groups inside each other")
        parts = [self._sequence()]
        while self._takes("|"):
            parts.append(self._sequence())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._one()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _repeated(self, node: Node) -> Node:
        counts = self._counts()
        if counts is None:
            return node
        least, most = counts
        if isinstance(node, Edge):
            self._fail("a repeated ^ or $")
        if most is not None and most < least:
            self._fail("a repetition whose numbers are the wrong way round")
        if max(least, most or 0) > MOST_REPEATS:
            self._fail(f"a repetition of more than {MOST_REPEATS} (not supported)")
        if self._takes("+"):
            self._fail("a possessive repetition (not supported)")
        self._takes("?")  # a lazy one matches the same texts
        if self._peek() in ("*", "+", "?") and self._peek():
            self._fail("a repetition of a repetition")
        return Repeat(node, least, most)

    def _counts(self) -> tuple[int, int | None] | None:
        match self._peek():
            case "*":
                found: tuple[int, int | None] = (0, None)
            case "+":
                found = (1, None)
            case "?":
                found = (0, 1)
            case "{":
                return self._braces()
            case _:
                return None
        self._at += 1
        return found

    def _braces(self) -> tuple[int, int | None] | None:
        end = self._text.find("}", self._at)
        low, comma, high = self._text[self._at + 1 : max(end, 0)].partition(",")
        if end < 0 or not _number(low) or (high and not _number(high)):
            self._fail("a { that begins no repetition (write \\{)")
        self._at = end + 1
        least = min(int(low[:9]), 10**8)
        if not comma:
            return least, least
        return least, (min(int(high[:9]), 10**8) if high else None)

    def _one(self) -> Node:
        letter = self._take()
        match letter:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case ".":
                return Chars(_DOT, characters.ALL)
            case "^":
                return Edge(True)
            case "$":
                return Edge(False)
            case "\\":
                return self._escape()
            case "*" | "+" | "?":
                self._at -= 1
                self._fail("nothing to repeat")
        return _exactly(characters.of(letter))

    def _group(self) -> Node:
        if self._takes("?"):
            if self._takes("P<") or (
                self._peek() == "<" and self._text[self._at + 1 : self._at + 2] not in "=!"
            ):
                self._at = self._text.find(">", self._at) + 1 or len(self._text)
            elif not self._takes(":"):
                self._fail("a look-around or another special group (not supported)")
        return self._closed(self._choice())

    def _escape(self) -> Chars:
        letter = self._take()
        if letter.lower() in _SOME:
            return _some(letter)
        if letter in "bBAZzGkpP" or letter in "123456789":
            self._fail(f"\\{letter} (not supported)")
        return _exactly(characters.of(self._escaped(letter)))

    def _escaped(self, letter: str) -> str:
        """The character that `\\` and this letter stand for."""
        if letter in _CONTROL:
            return _CONTROL[letter]
        if letter == "x":
            return self._hex(2)
        if letter == "u":
            if self._takes("{"):
                end = self._text.find("}", self._at)
                return self._hex(max(end - self._at, 0), closing=1)
            first = self._hex(4)
            if "\ud800" <= first <= "\udbff" and self._takes("\\u"):
                second = self._hex(4)
                return (first + second).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            return first
        if letter == "c":
            return chr(ord(self._take()) % 32)
        if letter.isalnum() and letter.isascii():
            self._fail(f"\\{letter} (not supported)")
        return letter

    def _hex(self, count: int, closing: int = 0) -> str:
        digits = self._text[self._at : self._at + count]
        if len(digits) != count or not digits or any(each not in "0123456789abcdefABCDEF" for each in digits):
            self._fail("an escape without its digits")
        number = int(digits, 16)
        if number > characters.LAST:
            self._fail("an escape beyond Unicode")
        self._at += count + closing
        return chr(number)

    def _class(self) -> Chars:
        negated = self._takes("^")
        sure: list[Set] = []
        maybe: list[Set] = []
        if self._peek() == "]":
            self._fail("an empty class (not supported)")
        while not self._takes("]"):
            low = self._member()
            if isinstance(low, Chars):
                sure.append(low.sure)
                maybe.append(low.maybe)
                continue
            high = low
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                last = self._member()
                if isinstance(last, Chars) or last < low:
                    self._fail("a range of characters that is none")
                high = last
            one = characters.make([(ord(low), ord(high))])
            sure.append(one)
            maybe.append(one)
        narrow, wide = characters.either(*sure), characters.either(*maybe)
        return Chars(characters.others(wide), characters.others(narrow)) if negated else Chars(narrow, wide)

    def _member(self) -> str | Chars:
        letter = self._take()
        if letter == "[" and self._peek() in (":", ".", "="):
            self._fail("a named class (not supported)")
        if letter != "\\":
            return letter
        letter = self._take()
        if letter.lower() in _SOME:
            return _some(letter)
        if letter == "b":
            return "\b"
        if letter in "123456789BpPk":
            self._fail(f"\\{letter} (not supported)")
        return self._escaped(letter)


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _exactly(chars: Set) -> Chars:
    return Chars(chars, chars)


def _some(letter: str) -> Chars:
    sure, maybe = _SOME[letter.lower()]
    if letter.islower():
        return Chars(sure, maybe)
    return Chars(characters.others(maybe), characters.others(sure))
