"""What is at the other end of our streams."""

from __future__ import annotations

import os
import sys
from typing import TextIO

from tropa.cli.command import BOOLEANS

GREY, BOLD, PLAIN = "\x1b[38;5;245m", "\x1b[1m", "\x1b[0m"
_WIDTH = 80


def is_terminal(stream: TextIO) -> bool:
    return not stream.closed and stream.isatty()


def moves_cursor(stream: TextIO) -> bool:
    """Whether lines can be drawn again there. A dumb terminal would show the codes for it."""
    return is_terminal(stream) and os.environ.get("TERM") not in ("dumb", "unknown")


def safe(text: str, stream: TextIO) -> str:
    """Text of others for `stream`: whoever wrote it does not get to steer our terminal."""
    if not is_terminal(stream):
        return text
    from tropa.text.wrap import printable

    return printable(text)


def width(stream: TextIO) -> int:
    """In columns; 80 if nobody knows."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or _WIDTH
    except (OSError, ValueError):  # ValueError: no file descriptor behind it
        return _WIDTH


def has_colours(stream: TextIO) -> bool:
    """`NO_COLOR` is respected (no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_plain() -> bool:
    """`TROPA_PLAIN`: answers as the model writes them, on every terminal."""
    value = os.environ.get("TROPA_PLAIN", "").strip()
    return bool(value) and BOOLEANS.get(value, True)


def piped() -> bytes | None:
    """All that was piped in, which is nothing if standard input is closed; None if it is a terminal."""
    if sys.stdin is None or sys.stdin.closed:
        return b""
    if is_terminal(sys.stdin):
        return None
    return sys.stdin.buffer.read()


def piped_text() -> str | None:
    """The same as text."""
    data = piped()
    return None if data is None else data.decode("utf-8", "replace")
