"""The terminal of a chat: lines with editing and history. The only place that knows of readline."""

from __future__ import annotations

import os
import sys

from tropa.cli.chat import history
from tropa.cli.command import BOOLEANS

try:
    import readline
except ImportError:  # Windows, and some builds of Python: plain lines
    readline = None  # type: ignore[assignment]


class Console:
    """Reads lines. `EOFError` is Ctrl-D, `KeyboardInterrupt` Ctrl-C."""

    def __init__(self) -> None:
        self._file = history.history_file()
        self._kept = not _refused()
        self._entries = history.read(self._file) if self._kept else []
        if readline is not None:
            self._set_up()

    def read(self, prompt: str, *, remember: bool) -> str:
        remember = remember and self._kept
        if readline is not None:
            readline.set_auto_history(remember)
        line = input(prompt)
        if remember:
            self._entries = history.added(self._entries, line)
            history.write(self._file, self._entries)
        return line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def tell(self, text: str, *, aside: bool = False) -> None:
        stream = sys.stderr if aside else sys.stdout
        stream.write(text)
        stream.flush()

    def _set_up(self) -> None:
        for entry in self._entries:
            readline.add_history(entry)
        if "libedit" not in (readline.__doc__ or ""):
            readline.parse_and_bind('"\\t": "        "')
            readline.parse_and_bind("set enable-bracketed-paste on")  # pasted lines are one message


def _refused() -> bool:
    """`OLLAMA_NOHISTORY`: any text but a false one."""
    value = os.environ.get("OLLAMA_NOHISTORY", "").strip().strip("\"'")
    return bool(value) and BOOLEANS.get(value, True)
