"""The terminal of a chat: lines with editing, completion and history. The only place that knows of prompt_toolkit."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import AnyFormattedText
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout.processors import TabsProcessor
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.shortcuts import CompleteStyle
from prompt_toolkit.utils import is_dumb_terminal

from tropa.cli import terminal
from tropa.cli.chat import history
from tropa.cli.chat.paths import is_path
from tropa.cli.chat.step import CONTINUATION, PROMPT
from tropa.cli.chat.words import completions, last_word
from tropa.cli.command import BOOLEANS

_TAB = " " * 8
_GREY = "ansibrightblack"
_PLACEHOLDERS = {PROMPT: "Send a message (/? for help)", CONTINUATION: 'End with """'}


class Console:
    """Reads lines. `EOFError` is Ctrl-D, `KeyboardInterrupt` Ctrl-C."""

    def __init__(self, models: Callable[[], Iterable[str]] = tuple) -> None:
        """`models` gives the names to complete; it is asked when Tab is pressed, and must be quick."""
        self._file = history.history_file()
        self._kept = not _refused()
        self._typed = _Typed(history.read(self._file) if self._kept else [])
        if editor := os.environ.get("OLLAMA_EDITOR", "").strip():
            os.environ["VISUAL"] = editor  # what the line editor asks first for Ctrl-G
        self._session = None if is_dumb_terminal() else self._editing(models)

    def _editing(self, models: Callable[[], Iterable[str]]) -> PromptSession[str]:
        return PromptSession(
            history=self._typed,
            completer=_Words(models),
            complete_while_typing=False,
            complete_style=CompleteStyle.READLINE_LIKE,
            reserve_space_for_menu=0,
            key_bindings=_keys(),
            enable_suspend=True,
            prompt_continuation=_continuation,
            input_processors=[TabsProcessor(char1=" ", char2=" ")],
            tempfile_suffix=".md",
            output=_output(),
        )

    def read(self, prompt: str, *, remember: bool) -> str:
        remember = remember and self._kept
        self._typed.kept = remember
        if self._session is None:  # it can't move its cursor: plain lines
            line = input(prompt)
        else:
            line = self._session.prompt(prompt, placeholder=_placeholder(prompt))
        if remember:
            history.remember(self._file, line)
        return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def tell(self, text: str, *, aside: bool = False) -> None:
        stream = sys.stderr if aside else sys.stdout
        stream.write(text)
        stream.flush()


class _Typed(InMemoryHistory):
    """What Up brings back."""

    def __init__(self, entries: Iterable[str]) -> None:
        super().__init__(list(entries))
        self.kept = True

    def append_string(self, string: str) -> None:
        if self.kept:
            super().append_string(string)


class _Words(Completer):
    def __init__(self, models: Callable[[], Iterable[str]]) -> None:
        self._models = models

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        line = document.text_before_cursor
        for each in completions(line, self._models):
            yield Completion(each, start_position=-len(last_word(line)))


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @Condition
    def plain_text() -> bool:
        buffer = get_app().current_buffer
        return not (buffer.text.startswith("/") or is_path(last_word(buffer.document.text_before_cursor)))

    @keys.add("c-j")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("tab", filter=plain_text)
    def _tab(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(_TAB)

    @keys.add("c-g")
    def _editor(event: KeyPressEvent) -> None:
        event.current_buffer.open_in_editor()

    @keys.add(Keys.Vt100MouseEvent)
    def _no_mouse(event: KeyPressEvent) -> None:
        """What looks like one is mostly a colour in pasted text, which the editor stumbled over."""

    return keys


def _continuation(_width: int, _line: int, wraps: int) -> str:
    """Before the further lines of a message; not where a long one only goes on in the next row."""
    return "" if wraps else CONTINUATION


def _placeholder(prompt: str) -> AnyFormattedText:
    if not terminal.has_colours(sys.stdout):
        return None
    text = _PLACEHOLDERS.get(prompt, "")
    return lambda: [] if get_app().is_done else [(_GREY, text)]  # not left behind by Ctrl-C and Ctrl-D


def _output() -> Output:
    """Without asking the terminal where its cursor is: one that does not answer, or late, would only get in the way."""
    output = create_output()
    if isinstance(output, Vt100_Output):
        output.enable_cpr = False
    return output


def _refused() -> bool:
    """`OLLAMA_NOHISTORY`: any text but a false one."""
    value = os.environ.get("OLLAMA_NOHISTORY", "").strip().strip("\"'")
    return bool(value) and BOOLEANS.get(value, True)
