"""An engine cannot outlive the server that started it, however the server ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.support.processes import gone, until
from tropa.engines import guard
from tropa.engines.engine import Engine, guarded
from tropa.engines.launch import Launch

GUARD = str(Path(guard.__file__))
SLEEP = [sys.executable, "-I", "-S", "-c", "import time; print('up', flush=True); time.sleep(600)"]
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
LIMIT = 2.0

# A server in one line: starts what it is told with a pipe as its standard input, and waits for ever.
SERVER = """
import json, os, subprocess, sys, time
argv = [word.replace("PARENT", str(os.getpid())) for word in json.loads(sys.argv[1])]
reader, writer = os.pipe()
child = subprocess.Popen(argv, stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
os.close(reader)
line = child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own way is Linux's")


@contextmanager
def server(argv: list[str]) -> Iterator[tuple[subprocess.Popen[bytes], psutil.Process]]:
    """A server that has started `argv`, and the process it started."""
    command = [sys.executable, "-I", "-S", "-c", SERVER, json.dumps(argv)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    family = [child, *child.children(recursive=True)]
    try:
        yield parent, child
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        for process in family:
            if process.is_running():
                process.kill()


def family_of(child: psutil.Process) -> list[psutil.Process]:
    return [child, *child.children(recursive=True)]


MODES = [pytest.param(["PARENT"], id="kernel", marks=linux), pytest.param(["--watch", "PARENT"], id="watch")]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], ids=lambda how: how.name)
def test_the_child_goes_when_its_parent_is_killed(mode: list[str], how: signal.Signals) -> None:
    with server([sys.executable, "-I", "-S", GUARD, *mode, *SLEEP]) as (parent, child):
        family = family_of(child)
        parent.send_signal(how)
        parent.wait()
        assert all(gone(process, LIMIT) for process in family)


@pytest.mark.parametrize("mode", MODES)
def test_also_a_child_that_ignores_requests_to_end(mode: list[str]) -> None:
    deaf = [sys.executable, "-I", "-S", "-c", DEAF]
    with server([sys.executable, "-I", "-S", GUARD, *mode, *deaf]) as (parent, child):
        family = family_of(child)
        parent.kill()
        parent.wait()
        assert all(gone(process, LIMIT) for process in family)


@pytest.mark.parametrize("mode", MODES)
def test_a_command_that_cannot_be_run_ends_the_guard(mode: list[str]) -> None:
    words = [word.replace("PARENT", str(os.getpid())) for word in mode]
    done = subprocess.run(
        [sys.executable, "-I", "-S", GUARD, *words, "/no/such/engine"], capture_output=True, timeout=30
    )
    assert done.returncode != 0
    assert b"/no/such/engine" in done.stderr


@linux
def test_a_parent_that_died_before_the_guard_could_ask_is_noticed() -> None:
    """1 is somebody's parent, but not ours."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", GUARD, "1", sys.executable, "-c", "print('alive')"],
        capture_output=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout) == (1, b"")


@contextmanager
def watched(code: str) -> Iterator[subprocess.Popen[bytes]]:
    python = [sys.executable, "-I", "-S", "-c", code]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", GUARD, "--watch", str(os.getpid()), *python],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("code", "status"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 128 + 9)]
)
def test_the_watch_ends_as_its_command_ended(code: str, status: int) -> None:
    with watched(code) as process:
        assert process.wait(30) == status


def test_the_watch_passes_on_the_request_to_end() -> None:
    code = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "print('up', flush=True)\ntime.sleep(600)"
    )
    with watched(code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.terminate()
        assert process.wait(30) == 5


def test_the_watch_ends_what_its_command_started_too() -> None:
    """A wrapper script round an engine is a parent of its own."""
    code = f"import subprocess; subprocess.Popen({SLEEP!r}).wait()"
    with watched(code) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        family = family_of(psutil.Process(process.pid))
        assert len(family) == 3
        process.stdin.close()
        assert all(gone(each, LIMIT) for each in family)


def test_the_watched_command_does_not_see_our_pipe() -> None:
    with watched("import sys; print(repr(sys.stdin.read()))") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"''\n"


@linux
def test_a_real_engine_goes_when_the_server_is_killed(engine: Engine, launch: Callable[..., Launch]) -> None:
    command = engine.command(launch())
    words = ["PARENT" if word == str(os.getpid()) else word for word in command.argv]
    with server(words) as (parent, child):
        until(
            lambda: "llama" in " ".join(child.cmdline()) or "host" in " ".join(child.cmdline()), "an engine"
        )
        parent.kill()
        parent.wait()
        assert gone(child, LIMIT)


def test_outside_linux_an_engine_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert guarded(("engine", "-x"))[-4:] == ("--watch", str(os.getpid()), "engine", "-x")
