"""What an earlier server left behind is ended; what is not ours is never touched."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.support.processes import alive, gone
from tropa.runners import rundir as module
from tropa.runners.rundir import RunDir, runtime_home

SLEEP = "import time; time.sleep(600)"

# A server that was killed so that its engine lived on: it starts one that knows its name, and says so.
SERVER = """
import json, subprocess, sys, time
from pathlib import Path
from tropa.runners.rundir import RunDir
rundir = RunDir(Path(sys.argv[1]))
rundir.open()
berth = rundir.berth()
command = [sys.executable, "-c", "import time; time.sleep(600)", "--alias", berth.alias]
engine = subprocess.Popen(command, start_new_session=True)
rundir.record(berth.alias, engine.pid)
print(json.dumps([engine.pid, str(rundir.path)]), flush=True)
time.sleep(600)
"""


class Crashed:
    """A server with one engine, and its folder."""

    def __init__(self, home: Path) -> None:
        self.server = subprocess.Popen([sys.executable, "-c", SERVER, str(home)], stdout=subprocess.PIPE)
        assert self.server.stdout is not None
        pid, folder = json.loads(self.server.stdout.readline())
        self.engine = psutil.Process(pid)
        self.folder = Path(folder)

    def die(self) -> None:
        self.server.kill()
        self.server.wait()

    def close(self) -> None:
        self.die()
        assert self.server.stdout is not None
        self.server.stdout.close()
        if self.engine.is_running():
            self.engine.kill()


@pytest.fixture
def earlier(place: Path) -> Iterator[Crashed]:
    server = Crashed(place / "run")
    yield server
    server.close()


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    """Somebody else's process."""
    process = subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True)
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


def test_an_engine_that_outlived_its_server_is_ended(rundir: RunDir, earlier: Crashed) -> None:
    earlier.die()
    assert alive(earlier.engine)
    assert rundir.sweep() == [earlier.engine.pid]
    assert gone(earlier.engine, 2)
    assert not earlier.folder.exists()
    assert rundir.sweep() == []


def test_a_live_servers_engines_and_folder_are_left_alone(rundir: RunDir, earlier: Crashed) -> None:
    assert rundir.sweep() == []
    assert alive(earlier.engine)
    assert earlier.folder.is_dir()


def test_a_number_that_now_belongs_to_somebody_else_is_left_alone(
    rundir: RunDir, earlier: Crashed, stranger: psutil.Process
) -> None:
    earlier.engine.kill()
    earlier.die()
    (record,) = earlier.folder.glob("tropa-*.json")
    record.write_text(json.dumps({"pid": stranger.pid}))
    assert rundir.sweep() == []
    assert alive(stranger)
    assert not earlier.folder.exists()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "5",
        '{"pid": null}',
        '{"pid": "1"}',
        '{"pid": 0}',
        '{"pid": -1}',
        '{"pid": 1}',
        '{"pid": true}',
    ],
)
def test_a_record_that_makes_no_sense_harms_nobody(
    rundir: RunDir, earlier: Crashed, content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("nobody may be killed for this")

    earlier.die()
    (record,) = earlier.folder.glob("tropa-*.json")
    record.write_text(content)
    with monkeypatch.context() as patch:
        patch.setattr(os, "killpg", refuse)
        assert rundir.sweep() == []
    assert not earlier.folder.exists()


def test_our_own_folder_is_not_swept(rundir: RunDir) -> None:
    rundir.record("tropa-1", os.getpid())
    assert rundir.sweep() == []
    assert (rundir.path / "tropa-1.json").exists()


def test_a_folder_that_is_just_being_made_is_left_alone(rundir: RunDir) -> None:
    young = rundir.path.parent / "123-young"
    young.mkdir()
    old = rundir.path.parent / "124-old"
    old.mkdir()
    hour_ago = time.time() - 3600
    os.utime(old, (hour_ago, hour_ago))
    rundir.sweep()
    assert young.exists()
    assert not old.exists()


def test_stray_files_are_no_obstacle(rundir: RunDir) -> None:
    (rundir.path.parent / "note.txt").write_text("hello")
    assert rundir.sweep() == []


def test_without_a_folder_there_is_nothing_to_sweep(place: Path) -> None:
    assert RunDir(place / "never made").sweep() == []


def test_a_folder_is_entered_by_its_owner_only(rundir: RunDir) -> None:
    assert stat.S_IMODE(rundir.path.stat().st_mode) == 0o700


def test_a_berth_is_never_given_twice(rundir: RunDir) -> None:
    berths = [rundir.berth() for _ in range(50)]
    assert len({berth.alias for berth in berths}) == len({berth.address for berth in berths}) == 50


def test_closing_leaves_nothing(place: Path) -> None:
    rundir = RunDir(place / "run")
    rundir.open()
    rundir.record("tropa-1", 5)
    rundir.record("tropa-2", 5)
    rundir.forget("tropa-1")
    rundir.forget("tropa-1")
    rundir.close()
    assert list((place / "run").iterdir()) == []
    rundir.close()


@pytest.mark.parametrize("length", [10, 40, 80, 120])
def test_sockets_stay_within_what_the_kernel_takes(
    length: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/" + "r" * length)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/" + "t" * length)
    socket = RunDir().berth().address.socket
    assert socket is not None
    assert len(bytes(socket)) <= module.SOCKET_PATH_LIMIT


def test_a_folder_that_somebody_else_made_first_is_not_entered(
    monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(place))
    usual = runtime_home()
    (place / "elsewhere").mkdir()
    usual.symlink_to(place / "elsewhere")
    with ExitStack() as stack:
        made = runtime_home()
        stack.callback(made.rmdir)
        assert made not in (usual, place / "elsewhere")
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
