"""Progress on a terminal that changes under it, and on none."""

from __future__ import annotations

import io
import threading

import pytest

from tropa.cli import terminal
from tropa.cli.progress import Progress


class Screen(io.StringIO):
    """A terminal of a width that tests change. `drawn` is set when a frame was written."""

    def __init__(self) -> None:
        super().__init__()
        self.columns = 60
        self.drawn = threading.Event()

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self.drawn.set()

    def frame(self) -> str:
        """What is drawn next, from here on."""
        self.drawn.clear()
        before = self.tell()
        assert self.drawn.wait(20)
        return self.getvalue()[before:]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    screen = Screen()
    monkeypatch.setattr(terminal, "width", lambda out: out.columns)
    return screen


def test_a_terminal_made_narrower_is_drawn_over_whole(screen: Screen) -> None:
    with Progress(keep=True, out=screen) as progress:
        progress.bar("one", 100)
        progress.bar("two", 100)
        screen.frame()
        assert "\x1b[2A\r" in screen.frame(), "two lines, two rows"
        screen.columns = 30
        frames = screen.frame() + screen.frame()
        assert "\x1b[4A\r\x1b[J" in frames, "each line took two rows: all four are wiped"
        assert "\x1b[2A\r" in screen.frame()
        screen.columns = 60
        assert "\x1b[2A\r" in screen.frame()


def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    out = io.StringIO()
    with Progress(keep=True, out=out) as progress:
        progress.status("working")
        progress.move(progress.bar("file", 10), 10)
    assert out.getvalue() == ""


def test_a_pipe_is_told_of_each_thing_once() -> None:
    out = io.StringIO()
    with Progress(keep=True, told=True, out=out) as progress:
        progress.status("working")
        progress.move(progress.bar("file:", 2000), 10)
        progress.bar("file:", 2000)
        progress.status("working")
    assert out.getvalue() == "working\nfile: 2 KB\n"


def test_a_terminal_that_goes_away_does_not_end_the_work(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(text: str) -> int:
        screen.drawn.set()
        raise OSError("hung up")

    monkeypatch.setattr(screen, "write", gone)
    with Progress(keep=True, out=screen) as progress:
        progress.status("working")
        assert screen.drawn.wait(20)
        progress.move(progress.bar("file", 10), 10)
