"""`export`: models as they are stored, into an image layout in a tar. Equal models make equal files.

The small things come first, so that whoever reads the tar as a stream knows early what will follow.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO, Self

from tropa.library import disk
from tropa.library import manifest as manifests
from tropa.library.carry import layout
from tropa.library.carry.errors import CannotExport
from tropa.library.carry.tar import BLOCK, CHUNK, END, header, padding
from tropa.library.digest import Digest
from tropa.library.errors import CloudDisabled, DamagedModel, ModelNotFound, StoreUnusable
from tropa.library.library import Library
from tropa.library.name import Name, Source, source
from tropa.library.status import Status
from tropa.text.sizes import format_size

Tell = Callable[[Status], None]
_MARKER = b'{"imageLayoutVersion":"1.0.0"}'


@dataclass(frozen=True, slots=True)
class _Piece:
    """A blob to write, and where its bytes are."""

    digest: Digest
    size: int
    owner: Name
    where: Path | bytes

    def open(self) -> BinaryIO:
        return io.BytesIO(self.where) if isinstance(self.where, bytes) else self.where.open("rb")


class Export:
    """Some models on their way out. Made from names as a user writes them; raises if one is not here, or not whole.

    A claim keeps their blobs for as long as this is open. In a store that we may only read there is none to be
    had: then a blob that goes away meanwhile is an error when its turn comes.
    """

    def __init__(self, library: Library, names: list[str]) -> None:
        self._library = library
        self._exit = ExitStack()
        self._entries: list[tuple[Name, bytes]] = []
        self._pieces: dict[Digest, _Piece] = {}
        with ExitStack() as mess:
            mess.callback(self._exit.close)
            with suppress(StoreUnusable):
                self._claim = None
                self._claim = self._exit.enter_context(library.store.claim())
            for text in names:
                self._add(text)
            mess.pop_all()
        self._index = layout.compose_index(self._entries)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def names(self) -> list[Name]:
        return [name for name, _ in self._entries]

    @property
    def size(self) -> int:
        """Of the tar, in bytes."""
        sizes = [len(_MARKER), len(self._index)]
        sizes += [len(data) for data in self._manifests().values()]
        sizes += [piece.size for piece in self._pieces.values()]
        extended = 2 * BLOCK  # a header that says a size of 8 GiB or more is longer
        return sum(BLOCK + extended * (size >= 8 << 30) + size + len(padding(size)) for size in sizes) + len(
            END
        )

    def write(self, out: BinaryIO, tell: Tell) -> None:
        """All bytes of the tar. Raises DamagedModel if a blob's bytes are not what its name says."""
        self._small(out, layout.MARKER, _MARKER)
        self._small(out, layout.INDEX, self._index)
        for digest, data in self._manifests().items():
            self._small(out, f"{layout.BLOBS}{digest.hex}", data)
        for piece in self._pieces.values():
            self._piece(out, piece, tell)
        out.write(END)
        out.flush()

    def _add(self, text: str) -> None:
        name, data = self._found(text)
        if name in self.names:
            return
        contents = self._library.contents(name)
        texts = contents.texts if contents is not None else {}
        found = manifests.parse(data)
        if self._claim is not None and contents is None:
            self._claim.add(*found.digests())
        for layer in found.blobs():
            where: Path | bytes
            if contents is not None:
                where = texts.get(layer.blob, contents.weights.path)
            else:
                where = self._library.store.blobs.path(layer.blob)
                self._check(name, layer.blob, layer.size)
            self._pieces.setdefault(layer.blob, _Piece(layer.blob, layer.size, name, where))
        self._entries.append((name, data))

    def _found(self, text: str) -> tuple[Name, bytes]:
        base, where = source(text)
        if where is Source.CLOUD:
            raise CloudDisabled
        name = self._library.resolve(Name.parse(base))
        if (found := self._library.store.find(name)) is not None:
            return found.name, self._library.store.read(found.path)
        if (contents := self._library.contents(name)) is not None:
            return name, contents.manifest
        raise ModelNotFound(text)

    def _check(self, name: Name, digest: Digest, size: int) -> None:
        blobs = self._library.store.blobs
        if not blobs.has(digest) or blobs.size(digest) != size:
            raise _damaged(name, f"its blob {digest} is missing or has another size")

    def _manifests(self) -> dict[Digest, bytes]:
        """Two names of one model have one manifest. One that is also a layer of another comes once, too."""
        every = {Digest.of(data): data for _, data in self._entries}
        return {digest: data for digest, data in every.items() if digest not in self._pieces}

    def _small(self, out: BinaryIO, name: str, data: bytes) -> None:
        out.write(header(name, len(data)) + data + padding(len(data)))

    def _piece(self, out: BinaryIO, piece: _Piece, tell: Tell) -> None:
        message = f"exporting {piece.digest.hex[:12]}"
        tell(Status(message, str(piece.digest), piece.size, 0))
        seen, done = hashlib.sha256(), 0
        out.write(header(f"{layout.BLOBS}{piece.digest.hex}", piece.size))
        for chunk in _chunks(piece):
            seen.update(chunk)
            done += len(chunk)
            if done > piece.size:
                break
            out.write(chunk)
            tell(Status(message, str(piece.digest), piece.size, done))
        if done != piece.size or seen.hexdigest() != piece.digest.hex:
            raise _damaged(piece.owner, f"the bytes of its blob {piece.digest} are not those that it had")
        out.write(padding(piece.size))


def export(library: Library, names: list[str], file: Path, tell: Tell, *, force: bool = False) -> list[Name]:
    """Write the tar; `file` is there when it is whole, or not at all. What is there already stays, unless `force`."""
    if not force and os.path.lexists(file):
        raise _exists(file)
    if file.exists() and not file.is_file():
        raise CannotExport(f'"{file}" is no ordinary file', hint="to write to a pipe, name the file -")
    with Export(library, names) as models, _new(file, force=force) as out:
        free = shutil.disk_usage(file.parent).free
        if models.size > free:
            raise CannotExport(
                f'"{file}" needs {format_size(models.size)}, and {format_size(free)} are free in that folder '
                f"({models.size} and {free} bytes)"
            )
        models.write(out, tell)
        return models.names


@contextmanager
def _new(file: Path, *, force: bool) -> Iterator[BinaryIO]:
    """A file that gets its name at the end, if nothing was raised."""
    temporary = None
    try:
        fd, path = mkstemp(dir=file.parent, prefix=disk.TEMPORARY, suffix=".tar")
        temporary = Path(path)
        with os.fdopen(fd, "wb", buffering=CHUNK) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        if not force and os.path.lexists(file):  # made by somebody while we wrote
            raise _exists(file)
        temporary.replace(file)
        disk.sync(file.parent)
    except OSError as error:
        raise CannotExport(f'cannot write "{file}": {error.strerror or error}') from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _chunks(piece: _Piece) -> Iterator[bytes]:
    try:
        with piece.open() as source:
            while chunk := source.read(CHUNK):
                yield chunk
    except OSError as error:
        raise _damaged(piece.owner, f"its blob {piece.digest} cannot be read: {error.strerror}") from error


def _exists(file: Path) -> CannotExport:
    return CannotExport(f'"{file}" exists already', hint="take another name, or --force to replace it")


def _damaged(name: Name, why: str) -> DamagedModel:
    return DamagedModel(
        f"model '{name}' is damaged: {why}", hint="make it anew (pull or create) before exporting it"
    )
