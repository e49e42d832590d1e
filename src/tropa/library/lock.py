"""One process at a time changes the store, and what an unfinished operation needs is not swept away.

Two ideas, both the kernel's to enforce, so that a crash or a SIGKILL leaves nothing to clean up by hand:

* **The lock** is held for milliseconds: while a manifest is put in place, and while blobs are judged unused
and
  removed. Never while bytes are copied, hashed or awaited.
* **A claim** is a small file that its process keeps locked. It lists the digests an operation relies on and
that no
  manifest mentions yet. Whoever removes blobs spares them. A claim whose process is gone is no longer locked,
  which is how everybody knows; the next one who looks deletes it.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkstemp
from typing import Self

from tropa.library.digest import Digest, InvalidDigest

if sys.platform == "win32":  # not tested by us yet
    import msvcrt

    _FAR = 1 << 30  # locks are mandatory there: lock a byte that nobody reads

    def _take(fd: int) -> None:
        while not try_lock(fd):
            time.sleep(0.01)

    def try_lock(fd: int) -> bool:
        """Lock an open file unless somebody else has; released when it is closed, whoever dies."""
        try:
            os.lseek(fd, _FAR, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(fd, 0, os.SEEK_END)
        return True
else:
    import fcntl

    # A filesystem without locks (some network ones) leaves us with the lock inside this process: a store that
    # works with one server, as it would in the reference, is better than none.
    _NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}

    def _take(fd: int) -> None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise

    def try_lock(fd: int) -> bool:
        """Lock an open file unless somebody else has; released when it is closed, whoever dies."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False  # held by somebody, or nobody can tell: both mean hands off
        return True


class StoreLock:
    """The lock of one store, between threads and between processes. Not reentrant."""

    def __init__(self, home: Path) -> None:
        self._file = home / "lock"
        self._claims = home / "claims"
        self._threads = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[None]:
        with self._threads:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            fd = _open(self._file, os.O_CREAT)
            try:
                _take(fd)
                yield
            finally:
                os.close(fd)

    def claim(self) -> Claim:
        """Begin an operation that needs blobs which no manifest mentions yet."""
        with self.held():  # nobody looks at claims meanwhile, so none is ever seen unlocked
            self._claims.mkdir(exist_ok=True)
            fd, path = mkstemp(dir=self._claims)
            Path(path).chmod(0o644)  # other users of the folder have to see that it lives
            try_lock(fd)
        return Claim(self, fd, Path(path))

    def claimed(self) -> set[Digest]:
        """What living operations rely on. With the lock held, no claim grows before you have acted."""
        digests: set[Digest] = set()
        with suppress(FileNotFoundError):
            for path in self._claims.iterdir():
                digests.update(_living(path))
        return digests


class Claim:
    """The digests one operation relies on; ends with its `with` block, or with its process."""

    def __init__(self, lock: StoreLock, fd: int, path: Path) -> None:
        self._lock = lock
        self._fd = fd
        self._path = path

    def add(self, *digests: Digest) -> None:
        """From the return on, none of these is removed. One may be gone already: look afterwards."""
        with self._lock.held():
            os.write(self._fd, b"".join(f"{digest}\n".encode() for digest in digests))

    def close(self) -> None:
        """The operation is over. Harmless twice."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            with suppress(OSError):
                self._path.unlink()
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _living(path: Path) -> Iterator[Digest]:
    try:
        fd = _open(path)
    except FileNotFoundError:  # it ended between the listing and now
        return
    with os.fdopen(fd, "rb") as file:
        if try_lock(fd):
            with suppress(OSError):
                path.unlink()
            return
        file.seek(0)
        for line in file.read().splitlines():
            with suppress(InvalidDigest):
                yield Digest.parse(line.decode("ascii", "replace"))


def _open(path: Path, flags: int = 0) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o644)
    except PermissionError:  # made by another user: reading is enough for a lock
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
