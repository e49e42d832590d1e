"""A blob that is not whole yet: its bytes in a sparse file, and beside it how far each part of it is.

    blobs/sha256-<hex>-partial        as large as the blob will be, from the first moment
    blobs/sha256-<hex>-partial-<N>    {"N":0,"Offset":0,"Size":64000000,"Completed":4194304}

The layout is the reference's, so that either program can go on with what the other left. A state may say less than
the file holds, never more, however the process ends. After a power cut that may be untrue, and somebody else may
have written there; so nothing here is believed in the end: the digest of the whole decides.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import msgspec

from tropa.library import disk
from tropa.library.blobs import Blobs
from tropa.library.digest import Digest
from tropa.library.lock import try_lock

_MOST_PARTS = 256
_SAVED_EVERY = 1.0  # seconds, for slow lines

if sys.platform == "win32":  # not tested by us yet
    _seeking = threading.Lock()

    def _take(fd: int) -> bool:
        return try_lock(fd)

    def _write_at(fd: int, data: memoryview | bytes, at: int) -> int:
        with _seeking:
            os.lseek(fd, at, os.SEEK_SET)
            return os.write(fd, data)

    def _read_at(fd: int, buffer: memoryview, at: int) -> int:
        with _seeking:
            os.lseek(fd, at, os.SEEK_SET)
            data = os.read(fd, len(buffer))
        buffer[: len(data)] = data
        return len(data)
else:
    import fcntl

    def _take(fd: int) -> bool:
        """Whether it is ours now. Where the filesystem has no locks, one server has to be enough."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
        return True

    def _write_at(fd: int, data: memoryview | bytes, at: int) -> int:
        return os.pwrite(fd, data, at)

    def _read_at(fd: int, buffer: memoryview, at: int) -> int:
        return os.preadv(fd, [buffer], at)


class _State(msgspec.Struct):
    """The file of one part, in the reference's words."""

    N: int
    Offset: int
    Size: int
    Completed: int


@dataclass(slots=True)
class Part:
    """`done` bytes from `start` on are in the file. Grows in the one thread that fetches the part."""

    number: int
    start: int
    size: int
    done: int = 0
    saved: int = field(default=0, compare=False)
    saved_at: float = field(default_factory=time.monotonic, compare=False)

    @property
    def at(self) -> int:
        return self.start + self.done

    @property
    def end(self) -> int:
        return self.start + self.size

    @property
    def complete(self) -> bool:
        return self.done >= self.size


class Partial:
    """One unfinished blob, locked against every other process until it is closed."""

    def __init__(self, blobs: Blobs, digest: Digest, total: int, fd: int, saved_after: int) -> None:
        self.total = total
        self.parts: list[Part] = []
        self.resumed = 0
        self._blobs = blobs
        self._target = blobs.path(digest)
        self._path = path_of(blobs, digest)
        self._fd = fd
        self._saved_after = saved_after

    @classmethod
    def open(cls, blobs: Blobs, digest: Digest, total: int, part_size: int, saved_after: int) -> Self | None:
        """What an earlier attempt left, as far as it makes sense; else an empty one. None: another process
        works on it.
        """
        with disk.usable(blobs.folder):
            disk.make(blobs.folder)
            path = path_of(blobs, digest)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o644)
            try:
                if not (_take(fd) and _is_still(path, fd)):
                    os.close(fd)
                    return None
                partial = cls(blobs, digest, total, fd, saved_after)
                partial._restore(part_size)
            except BaseException:
                with suppress(OSError):
                    os.close(fd)
                raise
            return partial

    @property
    def done(self) -> int:
        return sum(part.done for part in self.parts)

    def start_over(self, part_size: int) -> None:
        """Forget every byte. The part is `part_size` large, or larger where there would be too many."""
        with disk.usable(self._blobs.folder):
            self._forget()
            os.ftruncate(self._fd, 0)
            os.ftruncate(self._fd, self.total)
            size = max(part_size, -(-self.total // _MOST_PARTS), 1)
            self.parts = [
                Part(number, start, min(size, self.total - start))
                for number, start in enumerate(range(0, self.total, size))
            ]
            self.resumed = 0
            for part in self.parts:
                self.save(part)

    def write(self, part: Part, data: bytes) -> None:
        with disk.usable(self._blobs.folder):
            rest = memoryview(data)
            while rest:
                written = _write_at(self._fd, rest, part.at)
                part.done += written
                rest = rest[written:]
            if (
                part.done - part.saved >= self._saved_after
                or time.monotonic() - part.saved_at >= _SAVED_EVERY
            ):
                self.save(part)

    def save(self, part: Part) -> None:
        """Write down how far a part is: one small write over the one before, which is never longer."""
        with disk.usable(self._blobs.folder):
            done = part.done
            state = msgspec.json.encode(_State(part.number, part.start, part.size, done)) + b"\n"
            fd = os.open(self._state(part.number), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                _write_at(fd, state, 0)
                os.ftruncate(fd, len(state))
            finally:
                os.close(fd)
            part.saved, part.saved_at = done, time.monotonic()

    def save_all(self) -> None:
        """However it ends; a disk that is full has had its say already."""
        with suppress(Exception):
            for part in self.parts:
                if part.done != part.saved:
                    self.save(part)

    def prefix(self) -> int:
        """How many bytes there are from the beginning without a gap."""
        for part in self.parts:
            if not part.complete:
                return part.at
        return self.total

    def read_into(self, buffer: memoryview, at: int) -> int:
        with disk.usable(self._blobs.folder):
            return _read_at(self._fd, buffer, at)

    def flush(self) -> None:
        with disk.usable(self._blobs.folder):
            os.fsync(self._fd)

    def commit(self) -> None:
        """Give the bytes their name. The caller has hashed them. States go last: without them nothing resumes."""
        with disk.usable(self._blobs.folder):
            os.fsync(self._fd)
            if sys.platform == "win32":  # it renames no open files
                self.close()
            self._path.replace(self._target)
            disk.sync(self._target.parent)
            self._forget()

    def discard(self) -> None:
        with disk.usable(self._blobs.folder):
            self._forget()
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _restore(self, part_size: int) -> None:
        parts = [*_states(self._path)]
        whole = os.fstat(self._fd).st_size == self.total
        if not (parts and whole and _tile(parts, self.total)):
            self.start_over(part_size)
            return
        self.parts = parts
        self.resumed = self.done

    def _forget(self) -> None:
        for path in _state_files(self._path):
            path.unlink(missing_ok=True)

    def _state(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}-{number}")


def path_of(blobs: Blobs, digest: Digest) -> Path:
    return blobs.folder / f"{digest.file_name}-partial"


def progress_of(blobs: Blobs, digest: Digest, total: int) -> int:
    """How far an unfinished blob is that may be another process's. For show, and for counting free space."""
    path = path_of(blobs, digest)
    parts = [*_states(path)]
    return sum(part.done for part in parts) if _tile(parts, total) else 0


def _states(path: Path) -> Iterator[Part]:
    """The parts on disk, in order; those that make no sense are left out, and then they no longer tile."""
    found = []
    for file in _state_files(path):
        with suppress(OSError, ValueError):
            with file.open("rb") as opened:
                state = msgspec.json.decode(opened.read(4096), type=_State)
            if 0 <= state.Completed <= state.Size and file.name == f"{path.name}-{state.N}":
                found.append(Part(state.N, state.Offset, state.Size, state.Completed, state.Completed))
    yield from sorted(found, key=lambda part: part.start)


def _state_files(path: Path) -> list[Path]:
    name = re.compile(re.escape(path.name) + r"-\d{1,6}", re.ASCII)
    try:
        with os.scandir(path.parent) as entries:
            return [Path(entry.path) for entry in entries if name.fullmatch(entry.name)]
    except FileNotFoundError:
        return []


def _tile(parts: list[Part], total: int) -> bool:
    """Whether they cover the blob exactly, without gap or overlap."""
    at = 0
    for part in parts:
        if part.start != at or part.size < 1:
            return False
        at += part.size
    return at == total


def _is_still(path: Path, fd: int) -> bool:
    """Whether the file that was locked still has the name: its last owner may have given it another."""
    try:
        named, locked = path.stat(), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (locked.st_dev, locked.st_ino)
