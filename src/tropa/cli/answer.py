"""Printing an answer while it arrives: thinking apart, wrapped and coloured on a terminal, raw elsewhere."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TextIO

from tropa.cli import terminal
from tropa.cli.markdown import Markdown, Span
from tropa.cli.progress import waiting
from tropa.client.client import Client, Json
from tropa.client.errors import ClientError
from tropa.text.wrap import Wrapper, printable

_OPEN, _CLOSE = "Thinking...", "...done thinking."


@dataclass(slots=True)
class Answer:
    """What came. `final` is the last record, or None if the stream ended without one."""

    text: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    final: Json | None = None


class Printer:
    """Writes the pieces of one answer. Escape codes and wrapping only on a terminal."""

    def __init__(self, out: TextIO, *, wrap: bool, hide_thinking: bool, raw: bool = False) -> None:
        """`raw`: no Markdown is looked for, as where there are no colours."""
        self._out = out
        self._terminal = terminal.is_terminal(out)
        self._grey, self._plain = (terminal.GREY, terminal.PLAIN) if terminal.has_colours(out) else ("", "")
        self._wrapper = Wrapper(terminal.width(out)) if wrap and terminal.moves_cursor(out) else None
        self._markdown = None if raw or not self._grey or terminal.is_plain() else Markdown()
        self._style = ""
        self._word = deque[Span](
            maxlen=terminal.width(out)
        )  # the last letters since a blank: they may have to move
        self._hide_thinking = hide_thinking
        self._thinking = False
        self._line_open = False  # whether something stands in the line that the cursor is in

    def thinking(self, piece: str) -> None:
        if self._hide_thinking or not piece:
            return
        if not self._thinking:
            self._thinking = True
            self._write(f"{self._grey}{_OPEN}\n")
        self._show(piece)

    def text(self, piece: str) -> None:
        if piece:
            self._end_thinking()
            if self._markdown:
                self._paint(self._markdown.feed(printable(piece)))
            else:
                self._show(piece)

    def call(self, call: Mapping[str, Any]) -> None:
        """A model that calls a tool although it was given none."""
        function = call.get("function") or {}
        arguments = json.dumps(function.get("arguments") or {}, ensure_ascii=False)
        self.text(
            f"  Model called a non-existent function '{function.get('name')}()' with arguments: {arguments}\n"
        )

    def finish(self) -> None:
        """To be called however the answer ended: the terminal's colour is put back."""
        self._end_thinking()
        if self._markdown:
            self._paint(self._markdown.finish())
            self._write(self._styled("", ""))

    def end_line(self) -> None:
        """What comes next on a terminal, an error, is no part of the answer's last line."""
        if self._terminal and self._line_open:
            self._write("\n")

    def _end_thinking(self) -> None:
        if self._thinking:
            self._thinking = False
            before = "\n" if self._line_open else ""
            self._write(f"{before}{_CLOSE}\n\n{self._plain}")
            if self._wrapper:
                self._wrapper = Wrapper(terminal.width(self._out))

    def _show(self, piece: str) -> None:
        if self._terminal:
            piece = printable(piece)
        self._resize()
        self._write(self._wrapper.feed(piece) if self._wrapper else piece)

    def _resize(self) -> None:
        if self._wrapper:
            self._wrapper.resize(terminal.width(self._out))

    def _paint(self, spans: list[Span]) -> None:
        self._resize()
        self._write("".join(self._painted(span) for span in spans))

    def _painted(self, span: Span) -> str:
        if self._wrapper is None or not span.wrap:
            if self._wrapper and span.text.endswith("\n"):
                self._wrapper = Wrapper(terminal.width(self._out))
            return self._styled(span.text, span.style)
        return "".join(self._wrapped(self._wrapper, char, span.style) for char in span.text)

    def _wrapped(self, wrapper: Wrapper, char: str, style: str) -> str:
        """As `Wrapper` says, a word that moves to the next line in the colours that it had."""
        shown = wrapper.feed(char)
        if char in " \t\n":
            self._word.clear()
        else:
            self._word.append(Span(char, style))
        moves, line_end, word = shown.rpartition("\n")
        if shown == char or not line_end:
            return self._styled(shown, style)
        moving = islice(self._word, len(self._word) - len(word), None)
        head = self._styled("", "") + moves + line_end
        return head + "".join(self._styled(letter.text, letter.style) for letter in moving)

    def _styled(self, text: str, style: str) -> str:
        if style == self._style:
            return text
        self._style = style
        return f"{terminal.PLAIN}\x1b[{style}m{text}" if style else f"{terminal.PLAIN}{text}"

    def _write(self, text: str) -> None:
        if shown := text.removesuffix(terminal.PLAIN):
            self._line_open = not shown.endswith("\n")
        self._out.write(text)
        self._out.flush()


def show_answer(
    server: Client, path: str, body: Mapping[str, object], printer: Printer, waiting_for: str
) -> Answer:
    """Ask, print what comes, return it. A spinner turns until the first piece; errors pass through."""
    with waiting(waiting_for) as progress, closing(server.stream(path, body)) as records:
        try:
            return _print(records, printer, progress.close)
        except ClientError:
            printer.finish()
            printer.end_line()
            raise
        finally:
            progress.close()
            printer.finish()


def _print(records: Iterable[Json], printer: Printer, begin: Callable[[], None]) -> Answer:
    answer = Answer()
    for record in records:
        begin()
        message = record.get("message") or record  # chat puts its pieces into a message
        text = message.get("content", message.get("response")) or ""
        thinking = message.get("thinking") or ""
        printer.thinking(thinking)
        printer.text(text)
        for call in message.get("tool_calls") or []:
            printer.call(call)
        answer.text.append(text)
        answer.thinking.append(thinking)
        if record.get("done"):
            answer.final = record
    return answer
