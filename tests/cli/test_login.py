"""`login` as a person meets it: asked at a terminal, or told by flags; and every way of saying nothing."""

from __future__ import annotations

import base64
import getpass
import io
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run, Transcript
from tests.registry.web import Ask, Reply, Web

RIGHT = f"Basic {base64.b64encode(b'me:secret').decode()}"


def closed(ask: Ask) -> Reply:
    if ask.headers.get("Authorization") == RIGHT:
        return Reply(200, {"Content-Length": "2"}, b"{}")
    return Reply(401, {"WWW-Authenticate": 'Basic realm="tests"'}, b"")


@pytest.fixture
def registry() -> Iterator[str]:
    with Web(closed) as web:
        yield web.host


@pytest.fixture(autouse=True)
def nothing_kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr("tropa.registry.credentials._keyring", lambda: None)


def types(monkeypatch: pytest.MonkeyPatch, name: str, password: str | None) -> None:
    """A person at a terminal, who says nothing more after this."""

    class Typed(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    def hidden(prompt: str) -> str:
        sys.stderr.write(prompt)
        if password is None:
            raise EOFError
        return password

    monkeypatch.setattr(getpass, "getpass", hidden)
    monkeypatch.setattr("tests.cli.conftest._Terminal", lambda _: Typed(io.BytesIO(name.encode())))


def test_a_name_and_a_password_are_asked_for(
    run: Run, registry: str, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    types(monkeypatch, "me\n", "secret")
    transcript = run("login", "--insecure", registry)
    assert transcript.status == 0, transcript.err
    assert transcript.out.startswith(f"logged in to {registry} as me (kept in ")
    assert transcript.err == f"Username for {registry}: Password for me: ", "prompts are no output"
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in kept)
    assert run("logout", registry) == Transcript(0, f"logged out of {registry}\n", "")
    assert run("logout", registry) == Transcript(0, f"not logged in to {registry}\n", "")


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("\n", "x"), ("me\n", None), ("me\n", "")])
def test_ctrl_d_and_empty_lines_are_one_clear_error(
    run: Run, registry: str, monkeypatch: pytest.MonkeyPatch, name: str, password: str | None
) -> None:
    types(monkeypatch, name, password)
    transcript = run("login", "--insecure", registry)
    assert (transcript.status, transcript.out) == (1, "")
    assert transcript.err.endswith("Error: a name and a password are needed\n")


def test_a_wrong_password_is_not_kept(run: Run, registry: str, home: Path) -> None:
    words = ("login", "--insecure", registry, "-u", "me", "--password-stdin")
    transcript = run(*words, piped=b"wrong\n")
    assert (transcript.status, transcript.out) == (1, "")
    assert "wrong" not in transcript.err
    assert run("logout", registry).out == f"not logged in to {registry}\n"
    assert run(*words, piped=b"secret\r\n").out.startswith(f"logged in to {registry} as me")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("reg.example.com",), "this is no terminal to ask for a password at"),
        (("reg.example.com", "--password-stdin"), "--password-stdin needs --username"),
        (("reg.example.com", "-u", "a:b", "--password-stdin"), "a username with a colon cannot be sent"),
        (("bad host",), "bad host is no registry's host name"),
    ],
)
def test_what_cannot_be_understood(run: Run, words: tuple[str, ...], complaint: str) -> None:
    transcript = run("login", *words, piped=b"secret")
    assert (transcript.status, transcript.out) == (1, "")
    assert transcript.err.startswith(f"Error: {complaint}")


def test_registries_that_know_people_by_a_key_show_it(run: Run) -> None:
    transcript = run("login")
    assert transcript.status == 0
    assert transcript.out.splitlines()[-1].startswith("ssh-ed25519 ")
    assert run("login").out == transcript.out, "the same key again"
