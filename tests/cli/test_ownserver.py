"""The server that `run` brings up for itself: there when needed, gone afterwards, whatever happens."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.fakeserver import Fake
from tropa.cli import ownserver
from tropa.cli.ownserver import OwnServerFailed, can_start_at, server_running
from tropa.client.client import Client
from tropa.client.errors import CannotConnect
from tropa.settings import Host, parse_host

SERVE = Path(__file__).with_name("fake_serve.py")


@pytest.fixture
def pid_file(tmp_path: Path) -> Path:
    return tmp_path / "pid"


@pytest.fixture
def command(pid_file: Path) -> list[str]:
    return [sys.executable, str(SERVE), str(pid_file)]


@pytest.fixture
def client(nobody: str) -> Client:
    return Client(parse_host(nobody))


def test_a_server_that_is_there_is_used(fake: Fake, command: list[str], pid_file: Path) -> None:
    with server_running(Client(Host("127.0.0.1", fake.port)), command):
        pass
    assert not pid_file.exists()


def test_our_own_server_lives_as_long_as_we_need_it(client: Client, command: list[str]) -> None:
    with server_running(client, command):
        client.alive()
    with pytest.raises(CannotConnect):
        client.alive()


def test_it_stops_when_we_fail(client: Client, command: list[str]) -> None:
    with pytest.raises(ZeroDivisionError), server_running(client, command):
        raise ZeroDivisionError
    with pytest.raises(CannotConnect):
        client.alive()


def test_a_server_that_does_not_start_says_why(client: Client, command: list[str]) -> None:
    with pytest.raises(OwnServerFailed) as caught, server_running(client, [*command, "--fail"]):
        pass
    assert str(caught.value) == (
        "could not start a server: exit status 3:\n  INFO starting\n  the models folder is not writable"
    )


def test_one_that_is_not_ready_in_time_is_given_up(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownserver, "READY_WITHIN", 0.1)
    command = [sys.executable, "-c", "input()"]
    with pytest.raises(OwnServerFailed, match="not ready after"), server_running(client, command):
        pass


def test_one_that_does_not_stop_is_killed(
    client: Client, command: list[str], pid_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownserver, "STOP_WITHIN", 0.1)
    with server_running(client, [*command, "--deaf"]):
        pid = int(pid_file.read_text())
    with pytest.raises(ProcessLookupError):  # killed, and waited for
        os.kill(pid, 0)


class _Quicker(Client):
    """Refused at first; then somebody else has started a server there."""

    def __init__(self) -> None:
        super().__init__(Host())
        self._asked = 0

    def alive(self) -> None:
        self._asked += 1
        if self._asked == 1:
            raise CannotConnect("", "", refused=True)


def test_somebody_else_may_be_quicker(command: list[str]) -> None:
    with server_running(_Quicker(), [*command, "--fail"]):
        pass


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("127.0.0.1:11434", True),
        ("localhost", True),
        ("127.0.0.2", True),
        ("[::1]:1234", True),
        ("http://127.0.0.1:8080", True),
        ("0.0.0.0", False),
        (":11434", False),
        ("192.168.1.5", False),
        ("example.com", False),
        ("https://127.0.0.1", False),
        ("http://127.0.0.1:80/ollama", False),
    ],
)
def test_only_on_this_machine_and_for_nobody_else(address: str, may: bool) -> None:
    assert can_start_at(parse_host(address)) is may


HOLD = """
import sys, time
from tropa.cli.ownserver import server_running
from tropa.cli.target import client
with server_running(client(), sys.argv[1:]):
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waiting for a process of others needs a pidfd")
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9), (signal.SIGINT, None)],
)
def test_no_signal_leaves_it_behind(
    nobody: str, command: list[str], pid_file: Path, number: signal.Signals, status: int | None
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        server = os.pidfd_open(int(pid_file.read_text()))
        try:
            process.send_signal(number)
            ended, _, _ = select.select([server], [], [], 20)
        finally:
            os.close(server)
        assert ended, "the server lives on"
        assert status is None or process.wait(20) == status


def test_its_log_can_be_left_behind_by_nobody_for_it_has_no_name(
    client: Client, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = {*tmp_path.iterdir()}
    with server_running(client, command):
        assert {path.name for path in {*tmp_path.iterdir()} - before if "pid" not in path.name} == set()
