"""Progress on standard error, redrawn in place; nothing at all unless that is a terminal.

A thread draws, since the one that works is blocked in a socket or a file. It owns the terminal's lines from
`__enter__` to `__exit__`; nobody else may print in between.
"""

from __future__ import annotations

import itertools
import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

from tropa.cli import terminal
from tropa.text.progress import FRAME_SECONDS, Bar, Spinner
from tropa.text.sizes import format_size
from tropa.text.table import cells_wide

PATIENCE = 0.5
"""Seconds before a wait is worth showing."""

_HIDE, _SHOW, _CLEAR = "\x1b[?25l", "\x1b[?25h", "\x1b[K"
_CLEAR_BELOW = "\x1b[J"


class Progress:
    """Lines that change, drawn `after` some seconds. With `keep` they stay at the end, else they vanish.

    Where lines can't change nothing is drawn. With `told`, files and pipes get a plain line for each thing that
    begins, once.
    """

    def __init__(
        self, *, keep: bool, after: float = 0.0, told: bool = False, out: TextIO | None = None
    ) -> None:
        self._out = sys.stderr if out is None else out
        self._shown = terminal.moves_cursor(self._out)
        self._told: set[str] | None = set() if told and not self._shown else None
        self._keep = keep
        self._after = after
        self._lines: list[Spinner | Bar] = []
        self._drawn: list[int] = []  # cells of each line that will be drawn over
        self._end = threading.Event()
        self._lock = threading.Lock()  # the lines: filled by the worker, drawn by the thread
        self._thread = threading.Thread(target=self._draw_until_end, daemon=True)

    def __enter__(self) -> Self:
        if self._shown:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def status(self, message: str) -> None:
        """A new line with a spinner; the one before it stops. The same message again changes nothing."""
        with self._lock:
            last = self._lines[-1] if self._lines else None
            if isinstance(last, Spinner) and last.message == message:
                return
            self._stop_last()
            self._lines.append(Spinner(message, time.monotonic()))
            self._tell(message)

    def bar(self, message: str, total: int, done: int = 0) -> Bar:
        """A new line with a bar, for the caller to move. What was `done` before makes no rate."""
        with self._lock:
            self._stop_last()
            bar = Bar(message, total, time.monotonic(), done)
            self._lines.append(bar)
            self._tell(f"{message.removesuffix(':')}: {format_size(total)}")
            return bar

    def move(self, bar: Bar, done: int) -> None:
        with self._lock:
            bar.move(done, time.monotonic())

    def close(self) -> None:
        """Draw the last state, or wipe it. Afterwards the terminal is free; a second call does nothing."""
        self._end.set()
        if not self._thread.is_alive():
            return
        self._thread.join()
        with self._lock:
            self._stop_last()
        if self._keep:
            self._draw()
        elif self._drawn:
            self._write(self._to_first_line(terminal.width(self._out)) + _CLEAR_BELOW)
        self._drawn = []

    def _tell(self, line: str) -> None:
        if self._told is not None and line not in self._told:
            self._told.add(line)
            self._write(f"{line}\n")

    def _stop_last(self) -> None:
        if self._lines and isinstance(last := self._lines[-1], Spinner):
            last.ended = True

    def _draw_until_end(self) -> None:
        if self._end.wait(self._after):
            return
        self._draw()
        while not self._end.wait(FRAME_SECONDS):
            self._draw()

    def _draw(self) -> None:
        now, columns = time.monotonic(), terminal.width(self._out)
        with self._lock:
            lines = [line.render(now, columns - 1) for line in self._lines]
            ended = self._forget_ended() if self._keep else 0
        if lines:
            text = "".join(f"{line}{_CLEAR}\n" for line in lines)
            self._write(_HIDE + self._to_first_line(columns) + text + _SHOW)
            self._drawn = [cells_wide(line) for line in lines[ended:]]

    def _forget_ended(self) -> int:
        """Lines at the top that will not change again are drawn once more and left alone: the list can be
        longer than the screen. Returns how many there were.
        """
        kept = list(itertools.dropwhile(lambda line: line.ended, self._lines))
        ended = len(self._lines) - len(kept)
        self._lines = kept
        return ended

    def _to_first_line(self, columns: int) -> str:
        """Back to where our first line begins. In a terminal that was made narrower, lines take several rows now:
        those that will not be drawn over are wiped.
        """
        rows = sum(max(1, -(-cells // columns)) for cells in self._drawn)
        wipe = _CLEAR_BELOW if rows > len(self._drawn) else ""
        return f"\x1b[{rows}A\r{wipe}" if rows else "\r"

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except OSError:  # the terminal is gone; the work need not be
            self._end.set()


def waiting(message: str, out: TextIO | None = None) -> Progress:
    """A spinner for one wait of unknown length, gone without a trace when it is over."""
    progress = Progress(keep=False, after=PATIENCE, out=out)
    progress.status(message)
    return progress
