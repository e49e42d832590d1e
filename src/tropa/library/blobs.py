"""Blobs: files named after the SHA-256 of their bytes.

A name appears only over bytes that were hashed, complete and flushed; until then they are in a temporary file
beside it that its writer keeps locked, so that no other process takes it for a leftover. Two writers of the
same bytes both succeed: the second finds the name taken and throws its own copy away.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from secrets import token_hex
from tempfile import mkstemp
from typing import Self

from tropa.library import disk
from tropa.library.digest import Digest
from tropa.library.errors import BlobNotFound, DigestMismatch, StoreUnusable
from tropa.library.lock import try_lock

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """What a write came to. `created` is False if the store had these bytes already."""

    digest: Digest
    size: int
    created: bool


class Blobs:
    """The `blobs` folder. Holds no state: use it from any thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: Digest) -> Path:
        return self.folder / digest.file_name

    def has(self, digest: Digest) -> bool:
        return self.path(digest).is_file()

    def keep(self, digest: Digest) -> bool:
        """Like `has`, and makes the blob young again, so that the next prune spares it."""
        try:
            os.utime(self.path(digest))
        except FileNotFoundError:
            return False
        except OSError:  # another user's file: it is there, and that user's prune will judge it
            return self.has(digest)
        return True

    def size(self, digest: Digest) -> int:
        try:
            return self.path(digest).stat().st_size
        except OSError as error:
            raise BlobNotFound(digest) from error

    def read(self, digest: Digest, limit: int) -> bytes:
        """A small blob, whole. One that is larger than `limit` is not what it should be."""
        try:
            with self.path(digest).open("rb") as file:
                data = file.read(limit + 1)
        except FileNotFoundError as error:
            raise BlobNotFound(digest) from error
        except OSError as error:
            raise StoreUnusable(f'cannot read the blob "{digest}": {error.strerror}') from error
        if len(data) > limit:
            raise StoreUnusable(f'the blob "{digest}" is larger than {limit} bytes')
        return data

    def writer(self, expected: Digest | None = None) -> Writer:
        """Start taking bytes in. With `expected`, other bytes are refused when they are complete."""
        return Writer(self, expected)

    def put(self, expected: Digest | None, chunks: Iterable[bytes]) -> Stored:
        with self.writer(expected) as writer:
            for chunk in chunks:
                writer.write(chunk)
            return writer.commit()

    def put_bytes(self, data: bytes) -> Stored:
        """A small layer. Its digest is known first, so nothing is written if it is here."""
        digest = Digest.of(data)
        if self.keep(digest):
            return Stored(digest, len(data), created=False)
        return self.put(digest, [data])

    def adopt(self, file: Path, expected: Digest | None = None, *, immutable: bool = False) -> Stored:
        """Take in a local file, without a second copy where that is safe.

        A filesystem with reflinks (btrfs, XFS, bcachefs) shares the bytes until one side changes: always
        safe. A hard link would share later changes too, and a model whose bytes change under its digest is
        corrupt; so only for a file that the caller knows is never written in place (`immutable`: one
        installed with the program). Else the bytes are copied.
        """
        try:
            if immutable and (stored := self._link(file, expected)) is not None:
                return stored
            with self.writer(expected) as writer, file.open("rb") as source:
                if not writer.clone(source):
                    for chunk in iter(lambda: source.read(CHUNK), b""):
                        writer.write(chunk)
                return writer.commit()
        except OSError as error:
            raise StoreUnusable(f'cannot take in "{file}": {error.strerror or error}') from error

    def _link(self, file: Path, expected: Digest | None) -> Stored | None:
        """Give a file that never changes its second name. None if that is not possible or allowed."""
        with file.open("rb") as source:
            digest = Digest(hashlib.file_digest(source, "sha256").hexdigest())
            size = source.tell()
            if expected is not None and digest != expected:
                raise DigestMismatch(expected, digest)
            if self.keep(digest):
                return Stored(digest, size, created=False)
            disk.make(self.folder)
            temporary = self.folder / f"{disk.TEMPORARY}{token_hex(8)}"
            try:
                os.link(file.resolve(), temporary)
                # Never changed is not never replaced: an update puts another file under the same name.
                if not os.path.samestat(temporary.stat(), os.fstat(source.fileno())):
                    return None
                temporary.replace(self.path(digest))
            except OSError:
                return None
            finally:
                temporary.unlink(missing_ok=True)
        disk.sync(self.folder)
        return Stored(digest, size, created=True)


class Writer:
    """Bytes on their way in: `write` any number of times, then `commit`; leaving without it is `abort`.

    One thread at a time. Every call may block on the disk, so a server makes them in a thread.
    """

    def __init__(self, blobs: Blobs, expected: Digest | None) -> None:
        self._blobs = blobs
        self._expected = expected
        self._hash = hashlib.sha256()
        self.size = 0
        with disk.usable(blobs.folder):
            disk.make(blobs.folder)
            self._fd, temporary = mkstemp(dir=blobs.folder, prefix=disk.TEMPORARY)
        self._path = Path(temporary)
        try_lock(self._fd)

    @property
    def path(self) -> Path:
        """Where the bytes are until they have a name: for reading back what was written."""
        return self._path

    def write(self, chunk: bytes | memoryview) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)
        with disk.usable(self._blobs.folder):
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(self._fd, rest) :]

    def clone(self, source: BufferedReader) -> bool:
        """Share a file's bytes copy-on-write, as the first and only write. False if the filesystem cannot."""
        if sys.platform != "linux":
            return False
        import fcntl

        ficlone = 0x40049409
        try:
            fcntl.ioctl(self._fd, ficlone, source.fileno())
        except OSError:
            return False
        # What is stored is what gets hashed, not the file it came from: that one may change meanwhile.
        os.lseek(self._fd, 0, os.SEEK_SET)
        while chunk := os.read(self._fd, CHUNK):
            self._hash.update(chunk)
            self.size += len(chunk)
        return True

    def commit(self) -> Stored:
        """Verify, flush, and give the bytes their name. Raises DigestMismatch and then keeps nothing."""
        assert self._fd >= 0, "a writer is committed once"
        try:
            digest = Digest(self._hash.hexdigest())
            if self._expected is not None and digest != self._expected:
                raise DigestMismatch(self._expected, digest)
            target = self._blobs.path(digest)
            with disk.usable(self._blobs.folder):
                if self._blobs.keep(digest) and target.stat().st_size == self.size:
                    return Stored(digest, self.size, created=False)
                self._path.chmod(0o644)
                os.fsync(self._fd)
                if sys.platform == "win32":  # which renames no open file
                    self._close()
                self._path.replace(target)  # still locked, so nobody takes it for a leftover
                disk.sync(target.parent)
                return Stored(digest, self.size, created=True)
        finally:
            self.abort()

    def abort(self) -> None:
        """Forget the bytes. Harmless after a commit, and twice."""
        self._close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
