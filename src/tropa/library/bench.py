"""Where weights are worked on before they become a layer: joined, converted, quantized.

Every product goes straight into a temporary file of the store, hashed while it is written, and gets its name
when it is whole; what was only a step on the way never gets one. Leaving the bench clears it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tropa.gguf import GGUF, InvalidGGUF, read
from tropa.library.background import Tell, in_background
from tropa.library.blobs import Writer
from tropa.library.digest import Digest
from tropa.library.errors import BlobNotFound, StoreUnusable
from tropa.library.header import describe
from tropa.library.library import Library
from tropa.library.lock import Claim
from tropa.library.manifest import Layer
from tropa.library.shards import Joined
from tropa.library.status import Status
from tropa.quantize.filetype import KNOWN, FileType
from tropa.text.sizes import format_size

NO_DIGEST = "0000000000000000000"
"""What clients get to see with progress that belongs to no blob."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A GGUF in hand. `file` is what its owner calls it; without a digest it is still being made."""

    file: str
    gguf: GGUF
    digest: Digest | None = None
    writer: Writer | None = None
    eight_bits: bool = False
    """Its weights had eight bits before they were converted, and may have them again."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion has to say about its product."""

    warnings: tuple[str, ...] = ()
    eight_bits: bool = False


class Bench:
    """One per create. Blocks on the disk and on work; used by one thread at a time."""

    def __init__(self, library: Library, claim: Claim) -> None:
        self.library = library
        self.created: set[str] = set()
        """Digests of what was not in the store before."""
        self._blobs = library.store.blobs
        self._claim = claim
        self._mess = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._mess.close()

    def uploaded(self, digest: Digest) -> Path:
        """Where an uploaded blob is; it stays there until we are done. Raises BlobNotFound."""
        self._claim.add(digest)
        if not self._blobs.keep(digest):
            raise BlobNotFound(digest)
        return self._blobs.path(digest)

    def text(self, media_type: str, data: bytes) -> Layer:
        """A small layer."""
        digest = Digest.of(data)
        self._claim.add(digest)
        if self._blobs.put_bytes(data).created:
            self.created.add(str(digest))
        return Layer(media_type, str(digest), len(data))

    def layer(self, piece: Piece, media_type: str) -> Layer:
        """Give a piece its name in the store."""
        if piece.writer is None:
            assert piece.digest is not None
            return Layer(media_type, str(piece.digest), self._blobs.size(piece.digest))
        stored = piece.writer.commit()
        self._claim.add(stored.digest)
        if stored.created:
            self.created.add(str(stored.digest))
        return Layer(media_type, str(stored.digest), stored.size)

    def join(self, file: str, joined: Joined) -> Generator[Status, None, Piece]:
        """The parts of a split model as one file."""
        writer = self._writer(joined.weights)
        status = Status(f"joining {len(joined.parts)} parts", NO_DIGEST, joined.weights)
        for done in joined.write(writer):
            yield _at(status, done)
        return self._made(file, writer)

    def convert(
        self, status: str, file: str, work: Callable[[Writer, Tell], Conversion], size: int
    ) -> Generator[Status, None, Piece]:
        """What `work` writes. It runs beside, telling how far it is; what it warns of are statuses."""
        yield Status(status)
        writer = self._writer(size)
        done = yield from in_background(lambda tell: work(writer, tell))
        for warning in done.warnings:
            yield Status(f"warning: {warning}")
        return replace(self._made(file, writer), eight_bits=done.eight_bits)

    def quantize(self, piece: Piece, kind: FileType | None) -> Generator[Status, None, Piece]:
        """The same model with packed weights; itself where nothing is asked for, or to be done."""
        if kind is None and piece.eight_bits:
            kind = KNOWN["Q8_0"]
        if kind is None or (kind.packed and piece.gguf.file_type == kind.name):
            return piece
        from tropa.quantize.quantize import plan, quantize

        with named(piece.file):
            planned = plan(piece.gguf, kind)
        if planned.idle:
            return piece
        writer = self._writer(planned.size)
        total = piece.gguf.tensor_bytes
        status = Status(f"quantizing {width(piece.gguf)} model to {kind.name}", NO_DIGEST, total)
        yield status
        for done in quantize(planned, writer):
            yield _at(status, done)
        if piece.writer is not None:
            piece.writer.abort()  # only a step on the way: its room may be needed
        return self._made(piece.file, writer)

    def _writer(self, size: int) -> Writer:
        """A new file for about `size` bytes. Raises StoreUnusable now if the disk cannot hold it."""
        writer = self._mess.enter_context(self._blobs.writer())
        free = shutil.disk_usage(self._blobs.folder).free
        if free < size:
            raise StoreUnusable(
                f'cannot use the model folder "{self._blobs.folder}": no space left on device: '
                f"{format_size(size)} are needed, {format_size(free)} are free",
                hint="remove models you no longer need, or set OLLAMA_MODELS to a folder on a larger disk",
            )
        return writer

    def _made(self, file: str, writer: Writer) -> Piece:
        return Piece(file, read(writer.path), writer=writer)


def _at(status: Status, done: int) -> Status:
    return Status(status.status, status.digest, status.total, done)


def width(gguf: GGUF) -> str:
    """What most of the weights are: `F16`. The file's own word for it may be missing."""
    sizes: dict[str, int] = {}
    for tensor in gguf.tensors:
        sizes[tensor.type.name] = sizes.get(tensor.type.name, 0) + tensor.nbytes
    return max(sizes, key=lambda name: sizes[name], default="unknown")


def opened(file: str, path: Path, *, part: bool = False) -> GGUF:
    """The header of a file in the store. Errors name the file as its owner knows it."""
    with named(file):
        gguf = read(path, part=part)
        describe(gguf)  # the keys that we rely on are what they should be
        return gguf


@contextmanager
def named(file: str) -> Iterator[None]:
    """Errors about a GGUF within the block name it so, and not by its place in the store."""
    from tropa.gguf.errors import NotGGUF

    try:
        yield
    except InvalidGGUF as error:
        reason = error.reason
        if isinstance(error, NotGGUF):
            prefix = (
                "supplied file was not in GGUF format" if file.lower().endswith(".gguf") else "unknown type"
            )
            reason = f"{prefix}: {reason}"
        raise type(error)(Path(file), reason, hint=error.hint) from error
