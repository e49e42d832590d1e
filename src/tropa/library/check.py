"""Is the store what it should be? Every manifest is read, every blob is hashed, and nothing is changed.

The folder is looked at with the lock held, for milliseconds, so a look never sees a half-done operation of
another process. The hashing in between takes minutes and holds nothing: what came, went or changed meanwhile
is seen by the next look, and hashed then.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from tropa.library import disk, manifest
from tropa.library.digest import Digest, InvalidDigest
from tropa.library.errors import InvalidManifest, ModelNotFound, StoreUnusable
from tropa.library.library import Library
from tropa.library.manifest import Manifest
from tropa.library.name import Name, source
from tropa.library.prune import PARTIAL, PARTIAL_KEPT, YOUNG, leftover
from tropa.library.store import mentions

CHUNK = 1 << 20
_LOOKS = 4
"""Whoever works on the store without a pause gets no endless check of it."""

Stamp = tuple[int, int, int]


class Kind(Enum):
    """What can be found. The value is the word that people see."""

    MISSING = "missing"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"
    CORRUPT = "corrupt manifest"
    MISNAMED = "old name"
    ORPHANED = "orphaned"
    STALE = "stale download"
    LEFTOVER = "leftover"
    # From here on nothing is wrong, and one may want to know.
    UNFINISHED = "unfinished download"
    RECENT = "young"
    STRAY = "stray"
    ASIDE = "kept aside"
    HIDDEN = "removed"
    BUNDLED = "bundled"

    @property
    def harmless(self) -> bool:
        return self in _HARMLESS


_HARMLESS = {Kind.UNFINISHED, Kind.RECENT, Kind.STRAY, Kind.ASIDE, Kind.HIDDEN, Kind.BUNDLED}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be, or worth a word. `models` need it; `size` is what it takes."""

    kind: Kind
    what: str
    why: str
    path: Path
    size: int = 0
    digest: Digest | None = None
    models: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    models: int = 0
    blobs: int = 0
    size: int = 0
    """Bytes of the blobs that were looked at."""
    findings: tuple[Finding, ...] = ()

    @property
    def problems(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if not each.kind.harmless)

    @property
    def notes(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.kind.harmless)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file under a blob's name, however that is spelled. No stamp: it is no file."""

    path: Path
    digest: Digest
    size: int
    modified: float
    stamp: Stamp | None


@dataclass(slots=True)
class Look:
    """The folder at one moment."""

    manifests: int = 0
    needed: dict[Digest, set[Name]] = field(default_factory=dict)
    doubtful: bool = False
    """Some manifest does not say all that it needs."""
    mentioned: set[Digest] = field(default_factory=set)
    claimed: set[Digest] = field(default_factory=set)
    entries: list[Entry] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


class Check:
    """One check of a library, or of the models called `names`. Remembers what it hashed, so that a second
    `run` reads only what has changed.
    """

    def __init__(
        self, library: Library, names: Sequence[str] = (), *, now: Callable[[], float] = time.time
    ) -> None:
        """Raises InvalidName or ModelNotFound if there is no such model."""
        self.library = library
        self.store = library.store
        self.now = now
        self.names = {self._named(text) for text in names}
        self._hashed: dict[Path, tuple[Stamp, str, str]] = {}  # path: stamp, hex, error

    @property
    def everything(self) -> bool:
        return not self.names

    def run(self, progress: Callable[[int, int], None] | None = None) -> Report:
        """Look, hash, look again. `progress` gets the bytes done and the bytes in all, which may grow."""
        tell = progress or (lambda *_: None)
        done = 0
        for left in reversed(range(_LOOKS)):
            look = self.look()
            waiting = [each for each in self._of_interest(look) if each.stamp and not self._known(each)]
            if not waiting or not left:
                break
            total = done + sum(each.size for each in waiting)
            tell(done, total)
            for entry in waiting:
                for count in self._hash(entry):
                    done += count
                    tell(min(done, total), total)
        return self._report(look)

    def look(self) -> Look:
        """The folder as it is now. Raises StoreUnusable if it cannot be listed."""
        with disk.usable(self.store.root):
            if not self.store.root.exists():
                return Look()
            with self._held():
                return self.look_held()

    def look_held(self) -> Look:
        """The same for a caller that holds the lock."""
        look = Look()
        self._manifests(look)
        look.claimed = self.store.lock.claimed()
        self._blobs(look)
        return look

    def verdict(self, entry: Entry) -> tuple[Kind, str] | None:
        """What is wrong with the bytes of a file; None if nothing is, or it was not hashed as it is now."""
        if entry.stamp is None:
            return Kind.DAMAGED, "it is no file"
        if (known := self._known(entry)) is None:
            return None
        _, got, error = known
        if error:
            return Kind.UNREADABLE, error
        if got != entry.digest.hex:
            return Kind.DAMAGED, f"its {entry.size} bytes are those of sha256:{got}"
        return None

    def is_sound(self, entry: Entry) -> bool:
        """Was it hashed as it is now, and found to be what its name says?"""
        return self._known(entry) is not None and self.verdict(entry) is None

    def _named(self, text: str) -> Name:
        name = Name.parse(source(text)[0])
        if (found := self.store.find(name)) is not None:
            return found.name
        bundled = self.library.bundled
        if bundled is None or bundled.name.folded() != name.folded():
            raise ModelNotFound(text)
        return bundled.name

    def _held(self) -> AbstractContextManager[None]:
        """Where no Tropa ever was, or we may not write, nothing is made only to look."""
        lock = self.store.home / "lock"
        return self.store.lock.held() if os.access(lock, os.R_OK) else nullcontext()

    def _manifests(self, look: Look) -> None:
        scan = self.store.scan()
        if self.everything:
            self._strays(look, scan.warnings)
            if self.store.manifests.is_dir():
                for path in sorted(self.store.manifests.glob(f"{disk.TEMPORARY}*")):
                    why = "a manifest that was never finished"
                    look.findings.append(Finding(Kind.LEFTOVER, path.name, why, path, _size(path)))
        for found in scan.found:
            made, problem = Manifest(), None
            try:
                data = self.store.read(found.path)
                look.mentioned |= mentions(data)
                made = manifest.parse(data)
            except StoreUnusable as error:
                problem = Kind.UNREADABLE, str(error)
            except InvalidManifest as error:
                problem = Kind.CORRUPT, str(error)
            look.doubtful = look.doubtful or problem is not None
            if self.everything or found.name in self.names:
                look.manifests += 1
                for digest in made.digests():
                    look.needed.setdefault(digest, set()).add(found.name)
                if problem is not None:
                    models = (found.name,)
                    look.findings.append(
                        Finding(problem[0], found.name.short, problem[1], found.path, models=models)
                    )

    def _strays(self, look: Look, warnings: tuple[str, ...]) -> None:
        """What is no model; and apart from that, folders in which there may be models that nobody can see."""
        closed: list[OSError] = []
        for _ in os.walk(self.store.manifests, onerror=closed.append):
            pass
        for error in closed:
            if not isinstance(error, FileNotFoundError):
                what, why = str(error.filename), error.strerror or str(error)
                look.findings.append(Finding(Kind.UNREADABLE, what, why, Path(what)))
                look.doubtful = True
        said = tuple(f"ignoring {error.filename}:" for error in closed)
        for warning in warnings:
            if not warning.startswith(said):
                look.findings.append(Finding(Kind.STRAY, "manifests", warning, self.store.manifests))

    def _blobs(self, look: Look) -> None:
        folder = self.store.blobs.folder
        if not folder.is_dir():
            return
        with os.scandir(folder) as listing:
            files = sorted(listing, key=lambda file: file.name)
        for file in files:
            try:
                digest: Digest | None = Digest.parse(file.name)
            except InvalidDigest:
                digest = None
            try:
                status = file.stat()
            except OSError:  # it went away this moment, or is a link that leads nowhere
                if self.everything and digest is None and file.is_symlink():
                    why = "a link that leads nowhere"
                    look.findings.append(Finding(Kind.STRAY, file.name, why, Path(file.path)))
                continue
            if digest is not None:
                stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
                regular = stat.S_ISREG(status.st_mode)
                look.entries.append(
                    Entry(
                        Path(file.path),
                        digest,
                        status.st_size if regular else 0,
                        status.st_mtime,
                        stamp if regular else None,
                    )
                )
            elif self.everything:
                look.findings.append(self._nameless(Path(file.path), status))

    def _nameless(self, path: Path, status: os.stat_result) -> Finding:
        """What lies among the blobs and is none. The same ages count as in prune.py."""
        age = self.now() - status.st_mtime
        size = status.st_blocks * 512 if hasattr(status, "st_blocks") else status.st_size
        if not stat.S_ISREG(status.st_mode):
            return Finding(Kind.STRAY, path.name, "it is no file, and nobody's that we know of", path)
        if PARTIAL.fullmatch(path.name):
            if age > PARTIAL_KEPT:
                return Finding(Kind.STALE, path.name, "untouched for more than a week", path, size)
            return Finding(Kind.UNFINISHED, path.name, "a pull goes on from here", path, size)
        if not leftover(path, age):
            return Finding(Kind.RECENT, path.name, "somebody may be writing it", path, size)
        return Finding(Kind.LEFTOVER, path.name, "left by a write that was never finished", path, size)

    def _of_interest(self, look: Look) -> list[Entry]:
        return [each for each in look.entries if self.everything or each.digest in look.needed]

    def _known(self, entry: Entry) -> tuple[Stamp, str, str] | None:
        known = self._hashed.get(entry.path)
        return known if known is not None and known[0] == entry.stamp else None

    def _hash(self, entry: Entry) -> Iterator[int]:
        """Hash a file and remember it; the bytes of each step come out. One that is gone is forgotten."""
        assert entry.stamp is not None
        hashing, buffer = hashlib.sha256(), memoryview(bytearray(CHUNK))
        try:
            with entry.path.open("rb", buffering=0) as file:
                while count := file.readinto(buffer):
                    hashing.update(buffer[:count])
                    yield count
        except FileNotFoundError:
            return
        except OSError as error:
            self._hashed[entry.path] = entry.stamp, "", error.strerror or str(error)
            return
        self._hashed[entry.path] = entry.stamp, hashing.hexdigest(), ""

    def _report(self, look: Look) -> Report:
        entries = self._of_interest(look)
        findings = list(look.findings)
        there: set[Digest] = set()
        for entry in entries:
            models = tuple(sorted(look.needed.get(entry.digest, ())))
            about = (entry.path, entry.size, entry.digest, models)
            there.add(entry.digest)
            if (wrong := self.verdict(entry)) is not None:
                findings.append(Finding(wrong[0], str(entry.digest), wrong[1], *about))
            elif entry.path.name != entry.digest.file_name:
                why = "a blob under a spelling that is not used any more"
                findings.append(Finding(Kind.MISNAMED, entry.path.name, why, *about))
            elif not self.is_sound(entry):
                why = "it came or changed during the check, and was not read"
                findings.append(Finding(Kind.RECENT, str(entry.digest), why, *about))
            elif self.everything and entry.digest not in look.mentioned:
                findings.append(self._unmentioned(entry, look))
        for digest in sorted(set(look.needed) - there):
            models = tuple(sorted(look.needed[digest]))
            path = self.store.blobs.path(digest)
            why = "its link leads nowhere" if path.is_symlink() else "it is not in the store"
            findings.append(Finding(Kind.MISSING, str(digest), why, path, 0, digest, models))
        findings += self._aside() + self._bundled()
        size = sum(entry.size for entry in entries)
        return Report(look.manifests, len(entries), size, tuple(sorted(findings, key=_order)))

    def _unmentioned(self, entry: Entry, look: Look) -> Finding:
        about = (entry.path, entry.size, entry.digest)
        if entry.digest in look.claimed or self.now() - entry.modified <= YOUNG:
            return Finding(Kind.RECENT, str(entry.digest), "no model uses it yet", *about)
        if look.doubtful:
            why = "no model uses it, as far as one can tell while a manifest is corrupt"
            return Finding(Kind.RECENT, str(entry.digest), why, *about)
        if not self.library.prune:
            return Finding(
                Kind.RECENT, str(entry.digest), "no model uses it; OLLAMA_NOPRUNE keeps it", *about
            )
        return Finding(Kind.ORPHANED, str(entry.digest), "no model uses it", *about)

    def _aside(self) -> list[Finding]:
        if not self.everything or not (folder := aside(self.store.home)).is_dir():
            return []
        why = f"damaged blobs of an earlier repair, yours to look at or delete: {folder}"
        files = list(folder.iterdir())
        count = "1 file" if len(files) == 1 else f"{len(files)} files"
        return [Finding(Kind.ASIDE, count, why, folder, sum(map(_size, files)))] if files else []

    def _bundled(self) -> list[Finding]:
        bundled = self.library.bundled
        if bundled is None or self.store.find(bundled.name) is not None:
            return []
        about = (self.store.home, 0, None, (bundled.name,))
        if self.library.hidden and (self.everything or bundled.name in self.names):
            why = f"it came with the program; 'tropa check --repair {bundled.name.model}' brings it back"
            return [Finding(Kind.HIDDEN, bundled.name.short, why, *about)]
        if bundled.name in self.names:
            why = "it came with the program, and nothing of it is in the store"
            return [Finding(Kind.BUNDLED, bundled.name.short, why, *about)]
        return []


def aside(home: Path) -> Path:
    """Where a repair puts blobs that are not what their names say."""
    return home / "damaged"


def _order(finding: Finding) -> tuple[int, str, str]:
    return list(Kind).index(finding.kind), finding.what, finding.why


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0
