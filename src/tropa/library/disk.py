"""The few moves on the filesystem that the store's promises rest on. Each is safe to be killed in."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from tropa.library.errors import StoreUnusable

TEMPORARY = ".tropa-"


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """Whatever the operating system has against a write becomes one clear line that names the folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreUnusable(
            f'cannot use the model folder "{folder}": {reason}: ensure path elements are traversable',
            hint="set OLLAMA_MODELS to a folder that this user may write to, on a disk with free space",
        ) from error


def sync(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError:  # some filesystems cannot; nothing more can be done there
        pass
    finally:
        os.close(fd)


def make(folder: Path) -> None:
    """Make a folder and its parents, each durably."""
    if folder.is_dir():
        return
    make(folder.parent)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o755)
    sync(folder.parent)


def replace(path: Path, data: bytes, by_way_of: Path) -> None:
    """Put a small file in place whole, or not at all. `by_way_of` is a folder on the same filesystem."""
    fd, temporary = mkstemp(dir=by_way_of, prefix=TEMPORARY)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        make(path.parent)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise
    sync(path.parent)


def remove(path: Path) -> bool:
    """Remove a file durably; say whether it was there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync(path.parent)
    return True
