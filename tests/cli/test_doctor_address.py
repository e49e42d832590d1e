"""`doctor` on the address: who is there, and whether a server of ours could be."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from tests.cli.conftest import Run
from tests.cli.fakeserver import Asked, Fake, Reply, as_json
from tropa import __version__
from tropa.cli.doctor import address
from tropa.server import diagnosis
from tropa.server.diagnosis import Level
from tropa.settings import Settings, parse_host


def test_a_server_that_would_be_open_to_all_is_broken() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    [found] = address(at(f"0.0.0.0:{port}"))
    assert found.level is Level.BROKEN
    assert "TROPA_API_KEYS" in found.advice
    [found] = address(Settings(host=parse_host(f"0.0.0.0:{port}"), no_auth=True))
    assert found.level is Level.OK


def test_a_server_with_keys(fake: Fake, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(asked: Asked) -> Reply:
        if asked.headers.get("Authorization") == "Bearer right":
            return as_json({"version": "0.33.0", "tropa": __version__})
        return as_json({"error": "an API key is required"}, 401)

    fake.replies["GET /api/version"] = version
    [found] = address(at(fake.address))
    assert found.level is Level.NOTE
    assert found.text == f"a server with keys answers at http://{fake.address}: an API key is required"
    assert "TROPA_API_KEY" in found.advice
    [found] = address(at(fake.address), "right")
    assert found.level is Level.OK
    monkeypatch.setattr(diagnosis, "diagnose", lambda settings: [])
    monkeypatch.setenv("OLLAMA_HOST", fake.address)
    monkeypatch.setenv("TROPA_API_KEY", "right")
    assert f"tropa {__version__} answers" in run("doctor").out
    monkeypatch.setenv("TROPA_API_KEY", "schlüssel")
    assert "BROKEN  settings  TROPA_API_KEY: a key has none but printable ASCII" in run("doctor").out


def at(host: str) -> Settings:
    return Settings(host=parse_host(host))


def test_our_server_at_the_address(fake: Fake) -> None:
    fake.replies["GET /api/version"] = as_json({"version": "0.33.0", "tropa": __version__})
    [found] = address(at(fake.address))
    assert found.level is Level.OK
    assert found.text.startswith(f"tropa {__version__} answers at http://{fake.address}")
    fake.replies["GET /api/version"] = as_json({"version": "0.33.0", "tropa": "0.0.1"})
    [found] = address(at(fake.address))
    assert found.level is Level.NOTE
    assert found.advice.startswith("restart it")


def test_an_ollama_at_the_address(fake: Fake) -> None:
    fake.replies["GET /api/version"] = as_json({"version": "0.33.0"})
    [found] = address(at(fake.address))
    assert found.level is Level.NOTE
    assert "taken by an Ollama 0.33.0" in found.text


def test_a_server_elsewhere_is_not_mistaken_for_a_process_here(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.replies["GET /api/version"] = as_json({"version": "0.33.0", "tropa": __version__})
    here = address(at(fake.address))[0].facts
    monkeypatch.setattr("tropa.server.listener.is_loopback", lambda name: False)
    there = address(at(fake.address))[0].facts
    assert there["holder"] == ""
    if sys.platform == "linux":
        assert here["holder"] != ""


def test_something_else_at_the_address(fake: Fake) -> None:
    fake.replies["GET /api/version"] = Reply(b"<html>\nhello</html>", 404)
    [found] = address(at(fake.address))
    assert found.level is Level.BROKEN
    assert found.text.endswith(f", which is no such server (http://{fake.address} answers: 404 Not Found)")
    assert "OLLAMA_HOST" in found.advice


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system tells this to root only")
def test_who_holds_a_port() -> None:
    script = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert diagnosis.holder(port).endswith(f"(pid {process.pid})")
        process.communicate()
    assert diagnosis.holder(port) == ""


def test_an_address_that_a_server_could_not_have() -> None:
    with socket.socket() as bound:  # taken, though nobody listens
        bound.bind(("127.0.0.1", 0))
        [found] = address(at(f"127.0.0.1:{bound.getsockname()[1]}"))
    assert found.level is Level.BROKEN
    assert "bind: " in found.text
