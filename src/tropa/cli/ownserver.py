"""A server for the life of one command: `tropa run` works without anybody having started one.

It never outlives us. We stop it on every way out, signals included; should we be killed outright, the pipe
that is its standard input closes, and it takes that as the order to stop (`TROPA_EXIT_WITH_STDIN`).
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO

from tropa.cli.progress import waiting
from tropa.client.client import Client
from tropa.client.errors import CannotConnect, ClientError
from tropa.errors import TropaError
from tropa.settings import Host

COMMAND = (sys.executable, "-P", "-m", "tropa", "serve")  # -P: no `tropa` of the current folder
READY_WITHIN = 60.0
STOP_WITHIN = 15.0
_STEP = 0.02
_LAST_LINES = 10


class OwnServerFailed(TropaError):
    """The server that we started for ourselves did not come up. The text ends with what it said last."""

    code = "own-server-failed"

    def __init__(self, why: str, log: IO[bytes]) -> None:
        log.seek(0)
        last = log.read().decode("utf-8", "replace").splitlines()[-_LAST_LINES:]
        said = "".join(f"\n  {line.removeprefix('Error: ')}" for line in last)
        super().__init__(f"could not start a server: {why}{':' if said else ''}{said}")


@contextmanager
def server_running(client: Client, command: Sequence[str] = COMMAND) -> Generator[None, None, None]:
    """Inside, a server answers at the client's address: the one that was there, or one of our own."""
    try:
        client.alive()
    except CannotConnect as error:
        if not (error.refused and can_start_at(client.host)):
            raise
    else:
        yield
        return
    with _signals_as_exits(), _own(client, command):
        yield


def can_start_at(host: Host) -> bool:
    """Only where nobody else can reach it, and where the client would find it again."""
    if host.scheme != "http" or host.path:
        return False
    if host.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.host).is_loopback
    except ValueError:
        return False


@contextmanager
def _own(client: Client, command: Sequence[str]) -> Generator[None, None, None]:
    with tempfile.TemporaryFile("a+b") as log:  # without a name: nothing stays behind, however we end
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TROPA_EXIT_WITH_STDIN": "1"},
            start_new_session=True,  # Ctrl-C is for us; we decide when it stops
        )
        try:
            _wait_until_ready(client, process, log)
            yield
        finally:
            _stop(process)


def _wait_until_ready(client: Client, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    give_up = time.monotonic() + READY_WITHIN
    with waiting("starting the server"):
        while time.monotonic() < give_up:
            try:
                status = process.wait(_STEP)
            except subprocess.TimeoutExpired:
                if _answers(client):
                    return
                continue
            if _answers(client):  # somebody else was quicker to start one at this address
                return
            raise OwnServerFailed(_how_it_ended(status), log)
    raise OwnServerFailed(f"not ready after {READY_WITHIN:.0f} s", log)


def _answers(client: Client) -> bool:
    try:
        client.alive()
    except ClientError:
        return False
    return True


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask once (a second order to stop would cut off others' answers), wait, insist."""
    assert process.stdin is not None
    try:
        if os.name == "posix":
            process.terminate()
        else:
            process.stdin.close()
        process.wait(STOP_WITHIN)
    except (subprocess.TimeoutExpired, KeyboardInterrupt, SystemExit):  # too slow, or the user is in a hurry
        _kill(process)
        process.wait()
    finally:
        process.stdin.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Its session is its own, so nothing of it stays behind."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


@contextmanager
def _signals_as_exits() -> Generator[None, None, None]:
    """SIGTERM and SIGHUP unwind the stack like Ctrl-C does, so that the server is stopped and waited for."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, _exit) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
