"""The Modelfile as text: parsing and printing. What the instructions mean is the business of `request.py`.

One pass over the text with a position, no states to remember. The grammar is the reference's; ours differs
where that loses something: an error names the line it is about, CRLF counts as one line end, and texts keep
every character but control characters (the reference drops joiners and no-break spaces, which breaks emoji
and Persian).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from tropa.errors import TropaError
from tropa.library.modelfile.suggest import did_you_mean

COMMANDS = (
    "from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter", "message",
    "requires",
)  # fmt: skip
ROLES = ("system", "user", "assistant")
_KEYED = ("parameter", "message")
_TEXTS = ("license", "template", "system", "parameter", "message")
_BLANK = " \t"
_END = re.compile(r"[\r\n]")
_LINE_END = "\r\n"
_COMMAND_LIST = "{}, or {}".format(", ".join(f'"{c}"' for c in COMMANDS[:-1]), f'"{COMMANDS[-1]}"')


class InvalidModelfile(TropaError):
    """The text is no Modelfile. `line` counts from 1; None if it is about the whole."""

    code = "invalid-modelfile"

    def __init__(self, message: str, *, line: int | None = None, hint: str | None = None) -> None:
        super().__init__(message if line is None else f"(line {line}): {message}", hint=hint)
        self.line = line


@dataclass(frozen=True, slots=True)
class Command:
    """One instruction. `key` is a parameter's name or a message's role. Where it stood is no part of its
    value.
    """

    kind: str
    value: str
    key: str = ""
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        words = [self.kind.upper(), *([self.key] if self.key else []), quoted(self.value, self.kind)]
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Modelfile:
    """Instructions in their order. `parse(str(modelfile))` is the same Modelfile, save for what no Modelfile can
    say: that is a comment instead, or has one above it.
    """

    commands: tuple[Command, ...]

    def of(self, kind: str) -> Iterator[Command]:
        return (command for command in self.commands if command.kind == kind)

    def __str__(self) -> str:
        return "".join(f"{line}\n" for command in self.commands for line in _lines(command))


def _lines(command: Command) -> Iterator[str]:
    """An instruction as text. The grammar has no escapes, roles and names are few: some values cannot be written
    so that they come back, and none may end up as an instruction of its own.
    """
    text = str(command)
    try:
        back = tuple(_Reader(text).commands())
    except InvalidModelfile:
        back = ()
    if back != (command,):
        said = json.dumps([command.kind, command.key, command.value], ensure_ascii=False)
        yield f"# A Modelfile can't say exactly this: {''.join(c if c.isprintable() else ascii(c)[1:-1] for c in said)}"
        if [(each.kind, each.key) for each in back] != [(command.kind, command.key)]:
            return
    yield text


def parse_bytes(data: bytes) -> Modelfile:
    """A file's content: UTF-8, or UTF-16 with a byte order mark."""
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return parse(data.decode(encoding, errors="replace"))


def parse(text: str) -> Modelfile:
    """Raises InvalidModelfile."""
    commands = tuple(_Reader(text.removeprefix("\ufeff")).commands())
    if not any(command.kind == "from" for command in commands):
        raise InvalidModelfile("no FROM line")
    return Modelfile(commands)


def quoted(value: str, kind: str = "system") -> str:
    """A value as it is written after its instruction: bare if it can be, else in the quotes that bring it
    back.

    A text that no quotes bring back (it holds both kinds at line ends, or control characters) gets the wider
    ones.
    """
    plain = value and value.strip(_BLANK) == value and not value.startswith('"')
    if plain and not any(end in value for end in _LINE_END):
        return value
    candidates = [f'"{value}"', f'"""{value}"""'] if '"' not in value else [f'"""{value}"""', f'"{value}"']
    for candidate in candidates:
        if _unquoted(candidate, kind) == value:
            return candidate
    return f'"""{value}"""'


def _unquoted(text: str, kind: str) -> str | None:
    reader = _Reader(text)
    try:
        value = reader.value(kind)
    except InvalidModelfile:
        return None
    return value if reader.at == len(text) else None


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._counted = 0
        self._lines = 1

    def commands(self) -> Iterator[Command]:
        while self._find_name():
            yield self._command()

    def _command(self) -> Command:
        line, word = self._line(), self._word()
        kind = word.lower()
        if kind not in COMMANDS or not self._blank():
            hint = f"{word.upper()} needs a value" if kind in COMMANDS else did_you_mean(kind, COMMANDS)
            raise InvalidModelfile(f"command must be one of {_COMMAND_LIST}", line=line, hint=hint)
        key = self._key(kind, line) if kind in _KEYED else ""
        return Command(kind, self.value(kind), key, line)

    def _find_name(self) -> bool:
        """Go to the next instruction: past blanks, line ends, comments and what cannot be seen."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "#":
                self.at = self._end_of_line()
            elif char in _BLANK or char in _LINE_END or not char.isprintable():
                self.at += 1
            else:
                return True
        return False

    def _key(self, kind: str, line: int) -> str:
        """A parameter's name or a message's role, with something after it."""
        while self._blank():
            self.at += 1
        key = self._word()
        if kind == "message" and key not in ROLES:
            raise InvalidModelfile(
                'message role must be one of "system", "user", or "assistant"',
                line=line,
                hint=did_you_mean(key, ROLES),
            )
        if not key or not all(char.isascii() and (char.isalnum() or char == "_") for char in key):
            raise InvalidModelfile(f"a parameter has a name of letters, digits and _, not {key!r}", line=line)
        if not self._blank():
            raise InvalidModelfile(f"unexpected EOF: {kind} {key} has no value", line=line)
        return key

    def value(self, kind: str) -> str:
        """From here to the end of the line, or of the line on which an open quote is closed."""
        while self._blank():
            self.at += 1
        start, line = self.at, self._line()
        quote = next((q for q in ('"""', '"') if self.text.startswith(q, start)), "")
        first = start + len(quote)
        while True:
            end = self._end_of_line()
            stop = end
            while stop > self.at and self.text[stop - 1] in _BLANK:
                stop -= 1
            self.at = end
            if not quote:
                return _visible(self.text[start:stop], kind)
            if stop - len(quote) >= first and self.text.endswith(quote, first, stop):
                return _visible(self.text[first : stop - len(quote)], kind)
            if end == len(self.text):
                raise InvalidModelfile(
                    f"unexpected EOF: the {quote} opened here is never closed as the last thing of a line",
                    line=line,
                )
            self.at = end + 1

    def _word(self) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in _BLANK + _LINE_END:
            self.at += 1
        return _visible(self.text[start : self.at], "")

    def _blank(self) -> bool:
        return self.at < len(self.text) and self.text[self.at] in _BLANK

    def _end_of_line(self) -> int:
        match = _END.search(self.text, self.at)
        return len(self.text) if match is None else match.start()

    def _line(self) -> int:
        """The number of the line we are on: LF, CR and CRLF each end one."""
        passed = self.text[self._counted : self.at]
        self._lines += passed.count("\n") + passed.count("\r") - passed.count("\r\n")
        self._counted = self.at
        return self._lines


def _visible(text: str, kind: str) -> str:
    if text.isprintable():
        return text
    if kind in _TEXTS:
        return "".join(c for c in text if c in "\t\r\n" or unicodedata.category(c) != "Cc")
    return "".join(c for c in text if c.isprintable() or c in "\t\r\n")
