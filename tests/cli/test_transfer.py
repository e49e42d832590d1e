"""`pull` and `push`: a bar for each layer on a terminal, a line for each event in a pipe."""

from __future__ import annotations

import fcntl
import importlib.util
import re
import struct
import termios
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.fakeserver import Fake, as_json, lines
from tests.cli.terminal import Terminal

needs_terminal = pytest.mark.skipif(not importlib.util.find_spec("pty"), reason="needs pseudo-terminals")

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
GB = 10**9


def layer(digest: str, total: int, completed: int = 0) -> dict[str, object]:
    record: dict[str, object] = {"status": f"pulling {digest[7:19]}", "digest": digest, "total": total}
    return record | ({"completed": completed} if completed else {})


RECORDS = (
    {"status": "pulling manifest"},
    layer(ONE, 4 * GB),
    layer(ONE, 4 * GB, GB),
    layer(TWO, 12_000),
    layer(ONE, 4 * GB, 4 * GB),
    layer(TWO, 12_000, 12_000),
    {"status": "verifying sha256 digest"},
    {"status": "writing manifest"},
    {"status": "success"},
)


@pytest.fixture
def server(fake: Fake, home: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setenv("OLLAMA_HOST", fake.address)
    fake.replies["POST /api/pull"] = lines(*RECORDS)
    return fake


def test_a_pipe_gets_each_event_once(tropa: Run, server: Fake) -> None:
    transcript = tropa("pull", "m")
    assert (transcript.status, transcript.out) == (0, "")
    assert transcript.err.splitlines() == [
        "pulling manifest", "pulling 111111111111: 4 GB", "pulling 222222222222: 12 KB", "verifying sha256 digest",
        "writing manifest", "success",
    ]  # fmt: skip
    assert server.bodies("/api/pull") == [{"model": "m", "name": "m", "insecure": False}]


def test_insecure_is_passed_on(tropa: Run, server: Fake) -> None:
    tropa("pull", "--insecure", "m")
    assert server.bodies("/api/pull")[0]["insecure"] is True


def test_an_error_in_the_stream_is_told_alone(tropa: Run, server: Fake) -> None:
    server.replies["POST /api/pull"] = lines(
        {"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}
    )
    transcript = tropa("pull", "nosuch")
    assert transcript.status == 1
    assert transcript.err == "pulling manifest\nError: pull model manifest: file does not exist\n"


def test_run_fetches_first_and_then_asks(tropa: Run, server: Fake) -> None:
    answers = [as_json({"error": "model 'm' not found"}, 404), as_json({"capabilities": ["completion"]})]
    server.replies["POST /api/show"] = lambda asked: answers.pop(0)
    server.replies["POST /api/generate"] = lines(
        {"response": "Hello", "done": False}, {"response": "", "done": True}
    )
    transcript = tropa("run", "m", "hi")
    assert (transcript.status, transcript.out) == (0, "Hello\n\n")
    assert transcript.err.splitlines()[-1] == "success"


@needs_terminal
def test_each_layer_has_a_bar_that_ends_full(server: Fake) -> None:
    with Terminal("pull", "m") as terminal:
        assert terminal.status() == 0
    last = _screen(terminal.seen)
    assert [line.split("%")[0] for line in last if "%" in line] == [
        "pulling 111111111111: 100", "pulling 222222222222: 100",
    ]  # fmt: skip
    assert last[0].strip() == "pulling manifest"
    assert last[-1].strip() == "success"


@needs_terminal
def test_bars_follow_a_terminal_that_changes_its_width(server: Fake) -> None:
    server.replies["POST /api/pull"] = lines(*RECORDS[:3], hold=True)
    with Terminal("pull", "m", columns=100) as terminal:
        terminal.expect("pulling 111111111111:  25%")
        fcntl.ioctl(terminal._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        for _ in range(3):
            terminal.expect("pulling 111111111111:  25%")
        shown = terminal.expect("\x1b[K")
        assert len(f"pulling 111111111111:  25%{shown}") < 60
        terminal.press("\x03")
        assert terminal.status() == 130
    assert server.gone.wait(10), "Ctrl-C ends the pull"


def _screen(text: str) -> list[str]:
    """What a terminal shows in the end, as far as these few movements go."""
    rows: list[str] = [""]
    at = 0
    for piece in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if piece == "\n":
            at += 1
            if at == len(rows):
                rows.append("")
        elif match := re.fullmatch(r"\x1b\[(\d+)A", piece):
            at -= int(match[1])
        elif piece[0] not in "\x1b\r":
            rows[at] = piece
    return [row for row in rows if row.strip()]
