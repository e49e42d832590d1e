"""`import`: models out of an image layout in a tar. Nothing in it is believed before it was hashed.

A file that we can move about in is looked over first: what is wrong with it is known before a byte is written, and
only what is needed is taken. A pipe, or a packed file, is taken as it comes; what no model turned out to need goes
again at the end. Either way a blob has its name only when it is whole, and the manifests come last.
"""

from __future__ import annotations

import gzip
import io
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, cast

from tropa.library import manifest as manifests
from tropa.library.carry import layout
from tropa.library.carry.errors import CannotImport
from tropa.library.carry.layout import Carried, Layout
from tropa.library.carry.tar import Member, Tar
from tropa.library.digest import Digest, InvalidDigest
from tropa.library.errors import DigestMismatch, StoreUnusable
from tropa.library.library import Library
from tropa.library.lock import Claim
from tropa.library.manifest import Layer
from tropa.library.name import Name
from tropa.library.status import Status
from tropa.text.sizes import format_size

Tell = Callable[[Status], None]
_Sink = Callable[[Digest, int, Iterator[bytes]], None]

_MARKER_LIMIT = 4 << 10
_INDEX_LIMIT = 4 << 20
_DOCUMENTS_LIMIT = 64 << 20
"""What may be manifests is kept in memory, all of it together up to this."""

_PACKED = {
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd -dc FILE | tropa import -"),
    b"\xfd7zX": ("xz", "xz -dc FILE | tropa import -"),
    b"BZh": ("bzip2", "bzip2 -dc FILE | tropa import -"),
    b"PK\x03\x04": ("zip", "only tar files can be imported"),
}


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one model. `replaced` is True if its name meant another one before."""

    name: Name
    id: str
    size: int
    replaced: bool
    was_here: bool


def contents(file: BinaryIO) -> list[Carried]:
    """The models in a tar; nothing is written, and blobs are looked at only as far as their sizes."""
    with _opened(file) as (tar, _again):
        found = Layout()
        _read(tar, found, None)
        return found.models()


def take(library: Library, file: BinaryIO, tell: Tell, name: Name | None = None) -> list[Imported]:
    """Import every model; none before all of them are whole. `name` is for the only one.

    Raises CannotImport, InvalidManifest or StoreUnusable, and then nothing can be seen of it.
    """
    with library.store.claim() as claim, _opened(file) as (tar, again):
        taking = _Taking(library, claim, tell)
        try:
            found = Layout()
            if again is not None:
                _read(tar, found, None)
                models = _named(found.models(), name)
                wanted = taking.plan(found, models)
                _read(again(), Layout(), taking.put, wanted)
            else:
                _read(tar, found, taking.put)
                models = _named(found.models(), name)
                taking.plan(found, models)
            taking.finish(found, models)
            tell(Status("writing manifest"))
            return [_write(library, claim, *each, last=each is models[-1]) for each in models]
        finally:
            claim.close()
            taking.clean()


class _Taking:
    """Blobs on their way into the store."""

    def __init__(self, library: Library, claim: Claim, tell: Tell) -> None:
        self._library = library
        self._blobs = library.store.blobs
        self._claim = claim
        self._tell = tell
        self._created: set[Digest] = set()

    def plan(self, found: Layout, models: list[tuple[Name, Carried]]) -> set[Digest]:
        """What has to be taken out of the tar. Raises CannotImport if it cannot all be had."""
        wanted: dict[Digest, Layer] = {}
        for name, model in models:
            self._claim.add(*model.manifest.digests())
            for layer in model.manifest.blobs():
                there = found.sizes.get(layer.blob)
                if there is None and not self._is_here(layer.blob, layer.size):
                    raise CannotImport(f"the blob {layer.digest} of {name} is missing in the tar")
                if there is not None and there != layer.size:
                    raise CannotImport(
                        f"the blob {layer.digest} of {name} has {there} bytes, and {layer.size} in its manifest"
                    )
                if there is not None:
                    wanted[layer.blob] = layer
        self._check_space(
            sum(each.size for each in wanted.values() if not self._is_here(each.blob, each.size))
        )
        return set(wanted)

    def put(self, digest: Digest, size: int, chunks: Iterator[bytes]) -> None:
        """One blob, hashed on its way; one that is here is not read again."""
        self._claim.add(digest)
        message = f"importing {digest.hex[:12]}"
        if self._is_here(digest, size):
            self._tell(Status(message, str(digest), size, size))
            return
        self._check_space(size)
        self._tell(Status(message, str(digest), size, 0))
        self._created.add(digest)  # first: a signal may come right after the blob has its name
        try:
            with self._blobs.writer(digest) as writer:
                for chunk in chunks:
                    writer.write(chunk)
                    self._tell(Status(message, str(digest), size, writer.size))
                stored = writer.commit()
        except DigestMismatch as error:
            raise _damaged(error.expected, error.got) from error
        if not stored.created:
            self._created.discard(digest)

    def finish(self, found: Layout, models: list[tuple[Name, Carried]]) -> None:
        """What looked like a manifest and is a layer; and a look into the configs."""
        for _, model in models:
            for layer in model.manifest.blobs():
                if layer.blob in found.documents and not self._is_here(layer.blob, layer.size):
                    self.put(layer.blob, layer.size, iter([found.documents[layer.blob]]))
            assert model.manifest.config is not None
            manifests.parse_config(self._blobs.read(model.manifest.config.blob, manifests.CONFIG_LIMIT))

    def clean(self) -> None:
        """Blobs that no model needs after all: those of an import that failed, and what else was in the tar."""
        self._library.store.forget(self._created)

    def _is_here(self, digest: Digest, size: int) -> bool:
        return self._blobs.keep(digest) and self._blobs.size(digest) == size

    def _check_space(self, needed: int) -> None:
        root = self._library.store.root
        try:
            free = shutil.disk_usage(root).free
        except OSError as error:
            raise StoreUnusable(f'cannot look at "{root}": {error.strerror}') from error
        if needed > free:
            raise CannotImport(
                f"the import needs {format_size(needed)}, and {root} has {format_size(free)} free "
                f"({needed} and {free} bytes)",
                hint="free some space, or set OLLAMA_MODELS to a folder on a larger disk",
            )


def _named(models: list[Carried], name: Name | None) -> list[tuple[Name, Carried]]:
    if name is not None:
        if len({model.data for model in models}) != 1:
            raise CannotImport(
                f"the tar holds {len(models)} models, so one name is not enough", hint="leave the name out"
            )
        return [(name, models[0])]
    found: dict[Name, tuple[Name, Carried]] = {}
    for model in models:
        if (own := model.name) is None:
            called = (
                f"is called {model.text[:80]!a} there, which says not what it is"
                if model.text
                else "has no name"
            )
            raise CannotImport(
                f"a model in the tar {called}", hint="say what to call it: tropa import FILE.tar NAME"
            )
        if found.setdefault(own.folded(), (own, model))[1].data != model.data:
            raise CannotImport(f"the tar holds two models of the name {own}")
    return list(found.values())


def _write(library: Library, claim: Claim, name: Name, model: Carried, *, last: bool) -> Imported:
    name = library.resolve(name)
    before = library.store.find(name)
    if before is not None:
        old: bytes | None = library.store.read(before.path)
    else:
        film = library.contents(name)
        old = film.manifest if film is not None else None
    same = old == model.data
    if not same:
        name = library.store.write(name, model.data, claim=claim if last else None, prune=library.prune)
    return Imported(name, model.id, model.size, replaced=old is not None and not same, was_here=same)


def _read(tar: Tar, found: Layout, sink: _Sink | None, wanted: set[Digest] | None = None) -> None:
    """Everything in a tar: small things into `found`, blobs (those `wanted`, if that is given) into `sink`."""
    kept = 0
    for member in tar.members():
        _check_once(member, found)
        if member.name == layout.MARKER:
            found.marker = _small(tar, member, _MARKER_LIMIT)
        elif member.name == layout.INDEX:
            found.index = _small(tar, member, _INDEX_LIMIT)
        elif member.name == "manifest.json":
            found.docker = True
        elif member.name.startswith(layout.BLOBS):
            digest = _digest(member)
            found.sizes[digest] = member.size
            if wanted is not None and digest not in wanted:
                continue
            if wanted is None and member.size <= manifests.MANIFEST_LIMIT:
                data = tar.read()
                if layout.may_be_document(data):
                    if (got := Digest.of(data)) != digest:
                        raise _damaged(digest, got)
                    kept += len(data)
                    if kept > _DOCUMENTS_LIMIT:
                        raise CannotImport(f"the tar holds more than {_DOCUMENTS_LIMIT} bytes of manifests")
                    found.documents[digest] = data
                elif sink is not None:
                    sink(digest, member.size, iter([data]))
            elif sink is not None:
                sink(digest, member.size, tar.chunks())


def _check_once(member: Member, found: Layout) -> None:
    known = member.name in found.names
    if member.name in (layout.MARKER, layout.INDEX) or member.name.startswith(layout.BLOBS):
        if known:
            raise CannotImport(f'the tar holds "{member.name[:200]}" twice')
        found.names.add(member.name)


def _small(tar: Tar, member: Member, limit: int) -> bytes:
    if member.size > limit:
        raise CannotImport(f'"{member.name}" has {member.size} bytes, at most {limit} are read')
    return tar.read()


def _digest(member: Member) -> Digest:
    try:
        return Digest(member.name.removeprefix(layout.BLOBS))
    except InvalidDigest as error:
        raise CannotImport(
            f'the tar member "{member.name[:200]!a}" is not named by a SHA-256 digest'
        ) from error


def _damaged(expected: Digest, got: Digest) -> CannotImport:
    return CannotImport(
        f"the tar is damaged: the blob {expected} has other bytes than its name says ({got})",
        hint="copy or export it again",
    )


class _Begun:
    """A stream whose first bytes were looked at."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first = first
        self._rest = rest

    def read(self, count: int = -1, /) -> bytes:
        if not self._first:
            return self._rest.read(count)
        first, self._first = self._first[:count], self._first[count:]
        return first


@contextmanager
def _opened(file: BinaryIO) -> Iterator[tuple[Tar, Callable[[], Tar] | None]]:
    """A tar to read, and a way to begin again, if there is one. What goes wrong in reading becomes CannotImport."""
    try:
        begin = file.tell() if file.seekable() else None
        first = file.read(4)
        for magic, (what, hint) in _PACKED.items():
            if first.startswith(magic):
                raise CannotImport(f"the file is packed with {what}, which is not unpacked here", hint=hint)
        if first.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=cast("BinaryIO", _Begun(first, file)), mode="rb") as unpacked:
                yield Tar(unpacked), None
        elif begin is not None:

            def again() -> Tar:
                file.seek(begin)
                return Tar(file, skip=lambda count: file.seek(count, io.SEEK_CUR))

            yield again(), again
        else:
            yield Tar(_Begun(first, file)), None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CannotImport(f"the gzip file is damaged: {error}") from error
    except OSError as error:
        raise CannotImport(f"cannot read the file: {error.strerror or error}") from error
