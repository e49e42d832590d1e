"""One blob on its way out: piece by piece, going on after a break where the registry says it has got to.

Two dialects. A plain OCI registry takes the pieces one after another. One that speaks the reference's may answer
307 to each: the next address comes at once, the piece goes straight to the storage behind, and so several travel
side by side. It wants to hear at the end what the storage made of them, an MD5 of MD5s.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO

from tropa.library.digest import Digest
from tropa.library.errors import StoreUnusable
from tropa.registry.errors import BadAnswer, NotFound, Refused, RegistryError
from tropa.registry.leaving import Leaving
from tropa.registry.limits import Limits, Tries
from tropa.registry.repository import Repository, Upload

_FORGOTTEN = frozenset({400, 404, 416})
"""Answers that mean: this upload cannot go on, or not from there."""


class _Slice(io.RawIOBase):
    """Some bytes of a file as a body. Counts what was taken, and stops when nobody waits any more."""

    def __init__(
        self, path: Path, start: int, size: int, moved: Callable[[int], None], leaving: Leaving
    ) -> None:
        self._file = path.open("rb", buffering=0)
        self._file.seek(start)
        self._left = size
        self._moved = moved
        self._leaving = leaving

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        self._leaving.check()
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        data = self._file.read(wanted) if wanted else b""
        if wanted and not data:
            raise StoreUnusable(f"{self._file.name} became shorter while it was pushed")
        self._left -= len(data)
        self._moved(len(data))
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


class Sending:
    """`run` it in a thread of its own; others watch `done` and `ended`, and read `error` after that."""

    def __init__(
        self,
        digest: Digest,
        path: Path,
        size: int,
        source: str | None,
        repository: Repository,
        limits: Limits,
        leaving: Leaving,
    ) -> None:
        self.digest = digest
        self.done = 0
        self.ended = threading.Event()
        self.error: Exception | None = None
        self._path = path
        self._size = size
        self._source = source
        self._repository = repository
        self._limits = limits
        self._leaving = leaving
        self._lock = threading.Lock()
        self._etags: dict[int, bytes] = {}

    def run(self) -> None:
        try:
            self._run()
            self.done = self._size
        except Exception as error:  # noqa: BLE001 - whoever waits raises it
            self.error = error
        finally:
            self.ended.set()

    def _run(self) -> None:
        tries = Tries(self._limits, self._leaving)
        while True:
            before = self.done
            try:
                if not self._repository.has(self.digest, self._leaving):
                    self._send()
                return
            except RegistryError as error:
                # A registry that has lost the upload, or cannot go on with it, gets it from the start.
                lost = isinstance(error, NotFound) or (
                    isinstance(error, Refused) and error.status in _FORGOTTEN
                )
                tries.failed(_Lost(str(error)) if lost else error, progressed=self.done > before and not lost)
            self.done = 0
            self._etags.clear()

    def _send(self) -> None:
        upload = self._repository.start_upload(self.digest, self._source, self._leaving)
        if upload is None:
            return
        with ThreadPoolExecutor(self._limits.streams, "push") as pool:
            direct: list[Future[None]] = []
            at = 0
            while at < self._size:
                size = min(self._limits.upload, self._size - at)
                upload, sent = self._piece(upload, at, size, pool, direct)
                at += sent
            for each in direct:
                each.result()
        self._repository.commit(upload, self.digest, self._etag(upload), self._leaving)

    def _piece(
        self, upload: Upload, at: int, size: int, pool: ThreadPoolExecutor, direct: list[Future[None]]
    ) -> tuple[Upload, int]:
        """Send a piece, or after a break what the registry lacks of it. The next address, and how much it took."""
        tries = Tries(self._limits, self._leaving)
        while True:
            counted = _Counted(self)
            try:
                sent = self._repository.send_piece(
                    upload,
                    at,
                    size,
                    partial(self._body, at, size, counted),
                    self._leaving,
                )
            except RegistryError as error:
                counted.forget()
                if isinstance(error, Refused) and error.status != 416 and not error.temporary:
                    raise
                tries.failed(
                    _Lost(str(error)) if isinstance(error, Refused) and error.status == 416 else error
                )
                upload, reached = self._repository.uploaded(upload, self._leaving)
                if not at <= reached <= at + size:
                    raise Refused(416, f"the registry has {reached} bytes, and {at} were sent") from error
                if reached > at:
                    counted.add(reached - at)
                    return upload, reached - at
                continue
            if sent.direct is not None:
                counted.forget()
                direct.append(pool.submit(self._direct, sent.direct, at, size))
            elif sent.upload.redirects:
                self._etags[at] = self._md5(at, size)
            return sent.upload, size

    def _direct(self, url: str, at: int, size: int) -> None:
        tries = Tries(self._limits, self._leaving)
        while True:
            counted = _Counted(self)
            try:
                self._repository.send_direct(url, size, partial(self._body, at, size, counted), self._leaving)
            except RegistryError as error:
                counted.forget()
                tries.failed(error)
                continue
            digest = self._md5(at, size)
            with self._lock:
                self._etags[at] = digest
            return

    def _body(self, at: int, size: int, counted: _Counted) -> IO[bytes]:
        counted.forget()  # a second sending after a 401 begins anew
        return _Slice(self._path, at, size, counted.add, self._leaving)  # type: ignore[return-value] # it is read

    def _md5(self, at: int, size: int) -> bytes:
        """A checksum of the storage's, not of ours."""
        hashed = hashlib.md5(usedforsecurity=False)
        with self._path.open("rb") as file:
            file.seek(at)
            left = size
            while left and (data := file.read(min(left, 1 << 20))):
                hashed.update(data)
                left -= len(data)
        return hashed.digest()

    def _etag(self, upload: Upload) -> str | None:
        if not upload.redirects:
            return None
        together = b"".join(self._etags[at] for at in sorted(self._etags))
        return f"{hashlib.md5(together, usedforsecurity=False).hexdigest()}-{len(self._etags)}"

    def moved(self, count: int) -> None:
        with self._lock:
            self.done += count


class _Counted:
    """What one try of one piece added to the progress, so that it can be taken back."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._count = 0

    def add(self, count: int) -> None:
        self._count += count
        self._sending.moved(count)

    def forget(self) -> None:
        self._sending.moved(-self._count)
        self._count = 0


class _Lost(BadAnswer):
    """The registry no longer knows the upload as we do: another beginning may help."""

    code = "registry-lost-upload"

    def __init__(self, message: str) -> None:
        super().__init__(message, temporary=True)
