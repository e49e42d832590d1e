"""The model folder: which models there are, and the rules by which files come and go.

    manifests/<host>/<namespace>/<model>/<tag>    what a model is made of (name.py, manifest.py)
    blobs/sha256-<hex>                            its parts (blobs.py)
    .tropa/                                       what only Tropa needs: the lock and the claims (lock.py)

Two rules keep it valid whatever dies whenever: **a manifest is put in place only when every blob it names is
there**, and **a blob is removed only when no manifest names it and no living operation claims it**. Both are
checked and acted upon with the lock held, so they are true for all processes together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tropa.library import disk, manifest
from tropa.library.blobs import Blobs
from tropa.library.digest import Digest
from tropa.library.errors import BlobNotFound, InvalidManifest, StoreUnusable
from tropa.library.lock import Claim, StoreLock
from tropa.library.name import InvalidName, Name, resolve

_SPELLINGS = 4096  # names whose spelling is remembered
_MENTION = re.compile(rb"sha256[:-]([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class Found:
    """A manifest file. `stamp` differs whenever the content may."""

    name: Name
    path: Path
    modified_ns: int
    stamp: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    found: tuple[Found, ...]
    warnings: tuple[str, ...]


class Store:
    """One model folder. Safe between threads and between processes; holds its lock, and remembers nothing that it would
    not check again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifests = root / "manifests"
        self.home = root / ".tropa"
        self.blobs = Blobs(root / "blobs")
        self.lock = StoreLock(self.home)
        self._spellings: dict[Name, tuple[int, int]] = {}

    def scan(self, like: Name | None = None) -> Scan:
        """Every manifest file, by name; or only those that have the name `like`, in whatever case: a name that is not
        here is asked for often, and does not need a look at a thousand others. What cannot be one is left out with a
        warning."""
        found: list[Found] = []
        warnings: list[str] = []
        for parts, entry in _files(self.manifests, 4, warnings, like=like.folded().parts if like else ()):
            try:
                found.append(_found(Name(*parts), Path(entry.path), entry.stat()))
            except InvalidName:
                warnings.append(f"ignoring {entry.path}: its path is no model name")
            except OSError as error:
                if isinstance(error, FileNotFoundError) and not entry.is_symlink():
                    continue  # removed this moment
                warnings.append(f"ignoring {entry.path}: {error.strerror}")
        return Scan(tuple(found), tuple(warnings))

    def find(self, name: Name) -> Found | None:
        """The manifest of a name, in whatever case it is stored."""
        with suppress(OSError):
            path = self.path(name)
            stat = path.stat()
            if self._spelled(name, (stat.st_ino, stat.st_ctime_ns)):
                return _found(name, path, stat)
        scan = self.scan(name).found
        name = resolve(name, (each.name for each in scan))
        return next((each for each in scan if each.name == name), None)

    def resolve(self, name: Name) -> Name:
        """`name`, spelled as the names that exist."""
        return resolve(name, (each.name for each in self.scan().found))

    def path(self, name: Name) -> Path:
        return self.manifests.joinpath(*name.parts)

    def read(self, path: Path) -> bytes:
        """The bytes of a manifest file, never more than a manifest may have."""
        try:
            with path.open("rb") as file:
                return file.read(manifest.MANIFEST_LIMIT + 1)
        except OSError as error:
            raise StoreUnusable(f'cannot read the manifest "{path}": {error.strerror}') from error

    def claim(self) -> Claim:
        """Begin an operation that writes blobs first and their manifest last (see lock.py)."""
        with disk.usable(self.root):
            return self.lock.claim()

    def write(self, name: Name, data: bytes, *, claim: Claim | None = None, prune: bool = True) -> Name:
        """Put a manifest in place, in the spelling that exists, and drop what only the one before it used.

        The manifest takes over what the claim held. Raises BlobNotFound, and changes nothing, if a blob that it
        names is not there.
        """
        wanted = manifest.parse(data).digests()
        with disk.usable(self.root), self.lock.held():
            for digest in wanted:
                if not self.blobs.has(digest):
                    raise BlobNotFound(digest)
            name = self.resolve(name)
            path = self.path(name)
            before = self._mentions(path)
            disk.make(self.manifests)
            disk.replace(path, data, by_way_of=self.manifests)
            if claim is not None:
                claim.close()
            if prune:
                self._collect(before - wanted)
        return name

    def remove(self, name: Name) -> bool:
        """Take a manifest away, then the blobs that nothing else needs. False if there was none."""
        with disk.usable(self.root), self.lock.held():
            if (found := self.find(name)) is None:
                return False
            before = self._mentions(found.path)
            disk.remove(found.path)
            self.remove_empty(found.path.parent)
            self._collect(before)
        return True

    def forget(self, digests: set[Digest]) -> None:
        """Remove those of some blobs that nothing needs: what an operation put there and found no use for."""
        if digests:
            with disk.usable(self.root), self.lock.held():
                self._collect(digests)

    def mentioned(self) -> set[Digest]:
        """Every digest that occurs in the text of any manifest file, be it valid or not: rather too many.

        Raises StoreUnusable if one cannot be read, for then nobody knows what it mentions.
        """
        digests: set[Digest] = set()
        warnings: list[str] = []
        for _, entry in _files(self.manifests, 4, warnings):
            if Path(entry.path).exists():  # a dangling link mentions nothing
                digests |= mentions(self._whole(Path(entry.path)))
        if warnings:
            raise StoreUnusable("; ".join(warnings))
        return digests

    def damaged(self, scan: Scan) -> Iterator[str]:
        """Why some manifests cannot be trusted to mention all that they need."""
        for found in scan.found:
            try:
                manifest.parse(self.read(found.path))
            except (InvalidManifest, StoreUnusable) as error:
                yield f"{found.path}: {error}"

    def _whole(self, path: Path) -> bytes:
        data = self.read(path)
        if len(data) > manifest.MANIFEST_LIMIT:
            raise StoreUnusable(f'the manifest "{path}" is too large to be read')
        return data

    def _collect(self, candidates: set[Digest]) -> None:
        """Remove those blobs that nothing needs any more. The lock is held.

        The caller's own change is done. What cannot be removed now is left for the next prune.
        """
        if candidates:
            with suppress(OSError, StoreUnusable):
                for digest in candidates - self.mentioned() - self.lock.claimed():
                    self.blobs.path(digest).unlink(missing_ok=True)

    def _mentions(self, path: Path) -> set[Digest]:
        """What a manifest that is about to go mentions; nothing if there is none that can be read."""
        try:
            return mentions(self.read(path))
        except StoreUnusable:
            return set()

    def remove_empty(self, folder: Path) -> None:
        while folder != self.manifests:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def _spelled(self, name: Name, file: tuple[int, int]) -> bool:
        """Is there exactly this name? Asking for the file would not do where the filesystem ignores case; but a file
        that was found to have the name keeps it as long as it is the same and was not renamed (inode and ctime)."""
        if self._spellings.get(name) == file:
            return True
        folder = self.manifests
        for part in name.parts:
            with os.scandir(folder) as entries:
                if all(entry.name != part for entry in entries):
                    return False
            folder /= part
        if not folder.is_file():
            return False
        if len(self._spellings) >= _SPELLINGS:
            self._spellings.clear()
        self._spellings[name] = file
        return True


def mentions(data: bytes) -> set[Digest]:
    """Every digest in the text of a manifest."""
    return {Digest(match[1].decode().lower()) for match in _MENTION.finditer(data)}


def _found(name: Name, path: Path, stat: os.stat_result) -> Found:
    return Found(name, path, stat.st_mtime_ns, (stat.st_mtime_ns, stat.st_size, stat.st_ino))


def _files(
    folder: Path | str,
    depth: int,
    warnings: list[str],
    above: tuple[str, ...] = (),
    like: tuple[str, ...] = (),
) -> Iterator[tuple[tuple[str, ...], os.DirEntry[str]]]:
    """The files exactly `depth` levels below a folder, in order, each with its path in parts. With `like`, only those
    whose parts in lower case are these."""
    try:
        with os.scandir(folder) as listing:
            wanted = (each for each in listing if not like or each.name.lower() == like[0])
            entries = sorted(wanted, key=lambda entry: entry.name)
    except FileNotFoundError:
        return
    except OSError as error:
        warnings.append(f"ignoring {folder}: {error.strerror}")
        return
    for entry in entries:
        parts = (*above, entry.name)
        if _is_folder(entry):
            if depth > 1:
                yield from _files(entry.path, depth - 1, warnings, parts, like[1:])
            else:
                warnings.append(f"ignoring {entry.path}: it is a folder where a manifest should be")
        elif depth == 1:
            yield parts, entry


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that lead in a circle
        return False
