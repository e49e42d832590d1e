"""One blob on its way in: several streams write it, and right behind them it is hashed.

The streams take parts in order, so that the bytes without a gap from the beginning grow steadily, and the thread
that hashes reads what was written a moment ago. When the last byte comes, little is left to hash. What is hashed
is what lies in the file, not what went by.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import deque

from tropa.errors import TropaError
from tropa.library.blobs import Blobs
from tropa.library.digest import Digest
from tropa.registry.errors import BadAnswer, CorruptDownload, Left, NoRanges, NotFound, RegistryError, Stalled
from tropa.registry.leaving import Leaving
from tropa.registry.limits import Limits, Tries
from tropa.registry.partial import Part, Partial, progress_of
from tropa.registry.repository import Repository
from tropa.registry.transport import Response

log = logging.getLogger("tropa.registry")

_PIECE = 1 << 20
_FLUSHED = 128 << 20  # hashed bytes after which the disk is told to get on with it
_ELSEWHERE = 0.2  # seconds between two looks at what another process does


class Download:
    """`run` it in a thread of its own. Others watch `done` and `ended`, and read `error` after that."""

    def __init__(
        self,
        digest: Digest,
        total: int,
        repository: Repository,
        blobs: Blobs,
        limits: Limits,
        leaving: Leaving,
    ) -> None:
        self.digest = digest
        self.total = total
        self.leaving = leaving
        self.ended = threading.Event()
        self.error: Exception | None = None
        self._repository = repository
        self._blobs = blobs
        self._limits = limits
        self._partial: Partial | None = None
        self._elsewhere = 0
        self._got = ""

    @property
    def done(self) -> int:
        """Bytes that are here. Falls only when all has to be fetched again."""
        return self._partial.done if self._partial is not None else self._elsewhere

    def run(self) -> None:
        try:
            self._run()
        except TropaError as error:
            self.error = error
        except Exception as error:  # a bug, and its waiters have to hear of it
            log.exception("the download of %s failed: this is a bug", self.digest)
            self.error = error
        finally:
            self.ended.set()

    def _run(self) -> None:
        partial = self._opened()
        if partial is None:
            return
        self._partial = partial
        try:
            if not self._fetch(partial):
                # Bytes of an earlier attempt were not what their state said, or a proxy on the way garbled some.
                log.warning("%s: its bytes are not right; fetching it once more from the start", self.digest)
                partial.start_over(self._limits.part)
                if not self._fetch(partial):
                    raise CorruptDownload(str(self.digest), self._got)
            partial.commit()
        except CorruptDownload:
            partial.discard()
            raise
        finally:
            partial.save_all()
            partial.close()

    def _opened(self) -> Partial | None:
        """The file to write to. None: another process got the blob meanwhile."""
        while True:
            partial = Partial.open(
                self._blobs, self.digest, self.total, self._limits.part, self._limits.saved
            )
            if self._is_here():
                if partial is not None:
                    partial.discard()
                    partial.close()
                return None
            if partial is not None:
                return partial
            self._elsewhere = progress_of(self._blobs, self.digest, self.total)
            self.leaving.sleep(_ELSEWHERE)

    def _is_here(self) -> bool:
        return self._blobs.keep(self.digest) and self._blobs.size(self.digest) == self.total

    def _fetch(self, partial: Partial) -> bool:
        """Get what is missing; whether the whole then has its digest."""
        while True:
            streams = _Streams(self, partial, self._repository, self._limits)
            try:
                return self._hash(partial, streams)
            except NoRanges:
                streams.stop()  # before the parts change under those that still write
                log.info("%s: %s", self.digest, "the server sends no parts of files: one stream, no resuming")
                partial.start_over(max(self.total, 1))
            finally:
                streams.stop()

    def _hash(self, partial: Partial, streams: _Streams) -> bool:
        """Follow the streams to the end."""
        hashed, flushed, at = hashlib.sha256(), 0, 0
        buffer = memoryview(bytearray(_PIECE))
        while at < self.total:
            end = streams.wait_past(at)
            while at < end:
                self.leaving.check()
                count = partial.read_into(buffer[: min(_PIECE, end - at)], at)
                if not count:
                    raise BadAnswer(f"{self.digest}: its file was cut while it was written", temporary=True)
                hashed.update(buffer[:count])
                at += count
            if at - flushed >= _FLUSHED:
                flushed = at
                streams.flush()
        streams.stop()
        self._got = f"sha256:{hashed.hexdigest()}"
        return self._got == str(self.digest)


class _Streams:
    """The threads that fetch parts. What one of them meets that ends the download is raised in `wait_past`."""

    def __init__(self, download: Download, partial: Partial, repository: Repository, limits: Limits) -> None:
        self._digest = download.digest
        self._total = download.total
        self._partial = partial
        self._repository = repository
        self._limits = limits
        self._leaving = Leaving()
        self._outer = download.leaving
        self._parts = deque(part for part in partial.parts if not part.complete)
        self._news = threading.Condition()
        self._error: Exception | None = None
        self._flusher: threading.Thread | None = None
        self._threads = [
            threading.Thread(target=self._run, name=f"pull-{n}", daemon=True)
            for n in range(min(limits.streams, len(self._parts)))
        ]
        for thread in self._threads:
            thread.start()

    def wait_past(self, at: int) -> int:
        """Until there are more than `at` bytes without a gap; how many there are."""
        with self._outer.interrupting(self._wake), self._news:
            while (prefix := self._partial.prefix()) <= at:
                if self._error is not None:
                    raise self._error
                self._outer.check()
                if not self._news.wait(1.0) and not any(thread.is_alive() for thread in self._threads):
                    raise RuntimeError(f"nobody fetches {self._digest} any more, and it is not whole")
            return prefix

    def flush(self) -> None:
        """Beside the work: writing to the disk goes on while more is fetched."""
        if self._flusher is None or not self._flusher.is_alive():
            self._flusher = threading.Thread(target=self._flush, daemon=True)
            self._flusher.start()

    def stop(self) -> None:
        """Returns when nobody writes any more."""
        self._leaving.leave()
        for thread in self._threads:
            thread.join()
        if self._flusher is not None:
            self._flusher.join()

    def _flush(self) -> None:
        try:
            self._partial.flush()
        except TropaError as error:
            self._fail(error)

    def _run(self) -> None:
        try:
            while not self._leaving.left:
                with self._news:
                    if not self._parts:
                        return
                    part = self._parts.popleft()
                self._part(part)
        except Left:
            return
        except TropaError as error:
            self._fail(error)
        except Exception as error:
            log.exception("a stream of %s failed: this is a bug", self._digest)
            self._fail(error)

    def _part(self, part: Part) -> None:
        tries = Tries(self._limits, self._leaving)
        while not part.complete:
            before = part.done
            try:
                self._stream(part)
            except NotFound as error:
                host = self._repository.remote.host
                raise BadAnswer(
                    f"{self._digest}: the manifest names it, and {host} does not have it"
                ) from error
            except RegistryError as error:
                self._leaving.check()
                log.debug("%s part %d: %s", self._digest, part.number, error)
                if isinstance(error, Stalled):
                    log.info(
                        "%s part %d stalled; retrying. If this persists, press ctrl-c to exit, then "
                        "'tropa pull' to find a faster connection.", self._digest.hex[:12], part.number,
                    )  # fmt: skip
                tries.failed(error, progressed=part.done > before)
        self._partial.save(part)

    def _stream(self, part: Part) -> None:
        start = part.at
        if part.size == self._total:
            # One part is the whole file. A server without ranges begins at the beginning, so this does too.
            try:
                response = self._repository.blob(self._digest, start, part.end, self._total, self._leaving)
            except NoRanges:
                part.done = 0
                response = self._repository.blob(self._digest, 0, part.end, self._total, self._leaving)
        else:
            response = self._repository.blob(self._digest, start, part.end, self._total, self._leaving)
        try:
            with self._leaving.interrupting(response.interrupt):
                self._copy(part, response)
        finally:
            response.close()

    def _copy(self, part: Part, response: Response) -> None:
        while not part.complete:
            data = response.piece(_PIECE)
            if not data:
                raise BadAnswer(f"{self._digest}: the answer was cut short", temporary=True)
            # Never past the part's own end, whatever the other side sends.
            self._partial.write(part, data[: part.size - part.done])
            self._leaving.check()
            with self._news:
                self._news.notify_all()

    def _fail(self, error: Exception) -> None:
        with self._news:
            self._error = self._error or error
            self._news.notify_all()

    def _wake(self) -> None:
        with self._news:
            self._news.notify_all()


class Downloads:
    """Who fetches what. Whoever asks for a blob that is under way shares it; it ends when nobody waits any more."""

    def __init__(self, blobs: Blobs, limits: Limits) -> None:
        self._blobs = blobs
        self._limits = limits
        self._lock = threading.Lock()
        self._running: dict[Digest, tuple[Download, set[Share]]] = {}

    def join(self, digest: Digest, total: int, repository: Repository, leaving: Leaving) -> Share:
        """Leave it again with `Share.leave`, whatever happened."""
        while True:
            with self._lock:
                known = self._running.get(digest)
                if known is None:
                    download = Download(digest, total, repository, self._blobs, self._limits, Leaving())
                    share = Share(self, download)
                    self._running[digest] = download, {share}
                    threading.Thread(
                        target=self._run, args=(download,), name=f"pull {digest.hex[:12]}", daemon=True
                    ).start()
                    return share
                download, shares = known
                if not download.leaving.left and download.total == total and not download.ended.is_set():
                    share = Share(self, download)
                    shares.add(share)
                    return share
            # It is ending, or another manifest gives it another size: one file cannot have two owners.
            while not download.ended.wait(self._limits.tick):
                leaving.check()
            with self._lock:
                if self._running.get(digest) is known:
                    del self._running[digest]

    def close(self) -> None:
        """The server stops: what is under way stays for the next time."""
        with self._lock:
            downloads = [download for download, _ in self._running.values()]
        for download in downloads:
            download.leaving.leave()
        for download in downloads:
            download.ended.wait(1.0)

    def _run(self, download: Download) -> None:
        download.run()
        with self._lock:
            if (known := self._running.get(download.digest)) is not None and known[0] is download:
                del self._running[download.digest]

    def left(self, share: Share) -> None:
        with self._lock:
            known = self._running.get(share.download.digest)
            if known is None or known[0] is not share.download:
                return
            known[1].discard(share)
            last = not known[1]
        if last:
            share.download.leaving.leave()


class Share:
    """One caller's interest in a download."""

    def __init__(self, downloads: Downloads, download: Download) -> None:
        self.download = download
        self._downloads = downloads

    def leave(self) -> None:
        """Harmless twice, and after the end."""
        self._downloads.left(self)
