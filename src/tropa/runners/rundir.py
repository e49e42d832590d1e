"""The private folder of one server: its engines' sockets, and a record of each so that a later server can tidy up.

A server that dies takes its engines with it, by the kernel or by the guard. Should one survive all the same, the
next server finds its record here. An engine counts as ours only if its process still has, in its arguments, the
random name that we gave it; a number that the system has since given to somebody else's process is left alone.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tropa.engines.launch import Address
from tropa.errors import TropaError

log = logging.getLogger("tropa.runners")

SOCKET_PATH_LIMIT = 100  # bytes: the kernel takes 104 to 108 with the final zero
JUST_MADE = 60.0  # seconds within which an empty folder without a lock may still be getting one


class RunDirUnusable(TropaError):
    """There is no place for sockets: the disk is full, or the folder is somebody else's."""

    code = "rundir-unusable"


@dataclass(frozen=True, slots=True)
class Berth:
    """One engine's name and address."""

    alias: str
    address: Address


class RunDir:
    """`<runtime folder>/<pid>-<random>/`, entered by its owner only."""

    def __init__(self, home: Path | None = None) -> None:
        self._home = home or runtime_home()
        self.path = self._home / f"{os.getpid()}-{secrets.token_hex(4)}"
        self._lock: int | None = None

    def open(self) -> None:
        """Make the folder. Raises RunDirUnusable."""
        try:
            self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700)
        except OSError as exc:
            raise RunDirUnusable(
                f"the folder for the engines' sockets, {self.path}, can't be made: {exc.strerror or exc}",
                hint="set XDG_RUNTIME_DIR to a folder that can be written to",
            ) from exc
        if sys.platform != "win32":
            import fcntl

            # On the folder itself: programs that tidy up temporary folders take old files, and leave locked folders.
            self._lock = os.open(self.path, os.O_RDONLY)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def berth(self) -> Berth:
        """A name that no other engine ever had, and an address for it."""
        alias = f"tropa-{secrets.token_hex(8)}"
        if sys.platform == "win32":
            return Berth(alias, Address(port=_free_port(), api_key=secrets.token_urlsafe(24)))
        return Berth(alias, Address(socket=self.path / f"{alias[-8:]}.sock"))

    def record(self, alias: str, pid: int) -> None:
        """Remember an engine process until `forget`. Not worth failing for, should the disk be full: it is only for
        the case that neither we nor the kernel end it."""
        target = self.path / f"{alias}.json"
        partial = target.with_suffix(".part")
        try:
            partial.write_text(json.dumps({"pid": pid}))
            partial.replace(target)
        except OSError as exc:
            log.warning("cannot note the engine process %d in %s: %s", pid, target, exc)

    def forget(self, alias: str) -> None:
        """The process has ended."""
        (self.path / f"{alias}.json").unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the folder: every engine has ended."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def sweep(self) -> list[int]:
        """End what servers that are no more left behind; returns the process numbers of engines that were ended."""
        ended: list[int] = []
        if sys.platform == "win32" or not self._home.is_dir():
            return ended
        for folder in self._home.iterdir():
            if not folder.is_dir() or folder == self.path or not _abandoned(folder):
                continue
            records = [(record.stem, _recorded_pid(record)) for record in folder.glob("tropa-*.json")]
            ended.extend(pid for alias, pid in records if pid and _end_if_ours(pid, alias))
            shutil.rmtree(folder, ignore_errors=True)
        return ended


def runtime_home() -> Path:
    """Where the folders of this user's servers lie. Socket paths are short, so this must be too."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    # It is inherited by programs that run as somebody else, and by containers where there is no such folder.
    usable = Path(runtime).is_dir() and os.access(runtime, os.W_OK | os.X_OK)
    if runtime and usable and len(runtime) < SOCKET_PATH_LIMIT - 50:
        return Path(runtime) / "tropa"
    user = os.getuid() if hasattr(os, "getuid") else 0
    home = Path(tempfile.gettempdir()) / f"tropa-{user}"
    if len(str(home)) > SOCKET_PATH_LIMIT - 50:
        home = Path("/tmp") / f"tropa-{user}"  # noqa: S108 - checked below, and no name in it can be guessed
    if home.exists() and hasattr(os, "getuid") and (home.is_symlink() or home.stat().st_uid != os.getuid()):
        return Path(tempfile.mkdtemp(prefix="tropa-"))  # somebody else made it first: never enter it
    return home


def _recorded_pid(record: Path) -> int | None:
    try:
        pid = json.loads(record.read_text())["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if isinstance(pid, int) and pid > 1 else None


def _abandoned(folder: Path) -> bool:
    """Whether the server that made the folder has ended: it holds a lock on it for as long as it lives."""
    import fcntl

    try:
        lock = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    if any(folder.iterdir()):
        return True
    return time.time() - folder.stat().st_mtime > JUST_MADE  # perhaps it is being made just now


def _end_if_ours(pid: int, alias: str) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        if not any(alias in word for word in process.cmdline()):
            return False
        log.warning("ending engine process %d, left behind by a server that is no more", pid)
        os.killpg(pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
        process.wait(timeout=5)
    except (psutil.Error, ProcessLookupError):
        return False
    return True


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
