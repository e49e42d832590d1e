"""Commands run in this process, against a small server on a real socket, and leave a transcript."""

from __future__ import annotations

import io
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from tests.cli.fakeserver import Fake, Server
from tropa.cli.main import main


@dataclass(frozen=True, slots=True)
class Transcript:
    status: int
    out: str
    err: str


class Run(Protocol):
    def __call__(self, *words: str, piped: bytes | None = None) -> Transcript: ...


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_works() -> None:
    """A shell starts background jobs with SIGINT ignored, and every child would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def fake() -> Iterator[Fake]:
    fake = Fake()
    with Server(fake) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield fake
        server.shutdown()
        thread.join()


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, home: Path) -> str:
    """An address where nothing listens."""
    with Server(Fake()) as server:
        address = server.fake.address
    monkeypatch.setenv("OLLAMA_HOST", address)
    return address


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


class _Terminal(io.TextIOWrapper):
    """Standard input that nothing is piped into."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Path) -> Run:
    """Runs `tropa WORDS...`; standard input is a terminal unless something is piped in."""

    def run(*words: str, piped: bytes | None = None) -> Transcript:
        kind = _Terminal if piped is None else io.TextIOWrapper
        monkeypatch.setattr(sys, "stdin", kind(io.BytesIO(piped or b"")))
        status = main(words)
        captured = capsys.readouterr()
        return Transcript(status, captured.out, captured.err)

    return run


@pytest.fixture
def tropa(fake: Fake, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run`, with the fake server at `OLLAMA_HOST`."""
    monkeypatch.setenv("OLLAMA_HOST", fake.address)
    return run
