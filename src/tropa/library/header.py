"""The few facts about a GGUF that the library lives on, read once per file.

Listing 200 models must not read 200 files again each time; a file that was not touched (path, time, size,
inode) says the same as before.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from tempfile import mkstemp
from typing import Literal

import msgspec

from tropa.gguf import GGUF, read
from tropa.library.architectures import ENCODERS
from tropa.library.disk import TEMPORARY

_FORGOTTEN_LIMIT = 4096


class Kind(Enum):
    """What a GGUF is good for."""

    MODEL = "model"
    PROJECTOR = "projector"
    ADAPTER = "adapter"


RANK = 4  # among the engine's kinds of pooling


@dataclass(frozen=True, slots=True)
class Header:
    """What a GGUF says about itself."""

    kind: Kind
    architecture: str
    type: str
    """`general.type`, or nothing."""
    tensors: int
    parameter_count: int
    file_type: str
    context_length: int
    embedding_length: int
    embeds: bool
    """It turns text into vectors, or scores, and does not write."""
    reranks: bool
    """It scores documents for a query."""
    vision: bool
    audio: bool
    chat_template: str | None


class _Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A header, and what the file looked like when it was read. Another version writes another number."""

    stamp: tuple[int, int, int]
    header: Header
    version: Literal[2] = 2


class Headers:
    """Reads headers and remembers them: here, and beside the store for the next start. Any thread.

    To skip a vocabulary takes tens of milliseconds, so 200 models would keep the first listing busy for seconds.
    """

    def __init__(self, blobs: Path | None = None, memory: Path | None = None) -> None:
        """`memory` is a folder for what is known of the files in `blobs`. It may be lost at any time."""
        self._blobs = blobs
        self._memory = memory
        self._lock = threading.Lock()
        self._known: dict[Path, _Known] = {}

    def of(self, path: Path) -> Header:
        """Raises InvalidGGUF, which names the file and the reason; also if there is none."""
        try:
            stat = path.stat()
        except OSError:
            return describe(read(path))  # which knows how to say it
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        with self._lock:
            known = self._known.get(path)
        if known is None:
            known = self._recall(path)
        if known is None or known.stamp != stamp:
            known = _Known(stamp, describe(read(path)))
            self._remember(path, known)
        with self._lock:
            if len(self._known) >= _FORGOTTEN_LIMIT:
                self._known.clear()
            self._known[path] = known
        return known.header

    def forget_unused(self) -> None:
        """Drop what is known of blobs that are gone, and what a crash left half-written."""
        if self._memory is not None and self._blobs is not None and self._memory.is_dir():
            for file in self._memory.iterdir():
                if not (self._blobs / file.name).exists():
                    file.unlink(missing_ok=True)

    def _recall(self, path: Path) -> _Known | None:
        try:
            file = self._file(path)
            return None if file is None else msgspec.json.decode(file.read_bytes(), type=_Known)
        except (OSError, ValueError, RecursionError):  # never written, or not by this version
            return None

    def _remember(self, path: Path, known: _Known) -> None:
        with contextlib.suppress(OSError):  # a store that may only be read is read again each time
            if (file := self._file(path)) is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                fd, temporary = mkstemp(dir=file.parent, prefix=TEMPORARY)
                with os.fdopen(fd, "wb") as out:
                    out.write(msgspec.json.encode(known))
                Path(temporary).chmod(0o644)
                Path(temporary).replace(file)

    def _file(self, path: Path) -> Path | None:
        """Where the header of a blob is remembered; None for other files."""
        return self._memory / path.name if self._memory is not None and path.parent == self._blobs else None


def describe(gguf: GGUF) -> Header:
    """Raises BadMetadata if a key we rely on holds something else than it should."""
    metadata, own = gguf.metadata, gguf.own
    sees, hears = metadata.flag("clip.has_vision_encoder"), metadata.flag("clip.has_audio_encoder")
    embeds = own("pooling_type") in metadata or gguf.architecture in ENCODERS
    return Header(
        kind=_kind(gguf, sees or hears),
        architecture=gguf.architecture,
        type=metadata.text("general.type"),
        tensors=len(gguf.tensors),
        parameter_count=gguf.parameter_count,
        file_type=gguf.file_type,
        context_length=metadata.integer(own("context_length")),
        embedding_length=metadata.integer(own("embedding_length")),
        embeds=embeds or not metadata.flag(own("attention.causal"), default=True),
        reranks=metadata.integer(own("pooling_type")) == RANK,
        vision=sees or metadata.integer(own("vision.block_count")) > 0,
        audio=hears or metadata.integer(own("audio.block_count")) > 0,
        chat_template=gguf.chat_template,
    )


def parameter_size(count: int) -> str:
    """The number of parameters as people say it: `8.0B`, `137.00M`, `22K`."""
    for size, decimals, unit in ((1_000_000_000, 1, "B"), (1_000_000, 2, "M"), (1_000, 0, "K")):
        if count >= size:
            number = str(count // size) if count % size == 0 else f"{count / size:.{decimals}f}"
            return f"{number}{unit}"
    return str(count)


def _kind(gguf: GGUF, encodes: bool) -> Kind:
    kind = gguf.metadata.text("general.type")
    if kind == "adapter":
        return Kind.ADAPTER
    if kind in ("projector", "mmproj"):
        return Kind.PROJECTOR
    if gguf.own("block_count") in gguf.metadata:
        return Kind.MODEL
    alone = gguf.metadata.integer(gguf.own("vision.block_count")) > 0
    return Kind.PROJECTOR if alone or (gguf.architecture == "clip" and encodes) else Kind.MODEL
