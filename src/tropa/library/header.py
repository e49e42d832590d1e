"""The few facts about a GGUF that the library lives on, read once per file.

Listing 200 models must not read 200 files again each time; a file that was not touched (path, time, size,
inode) says the same as before.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from tropa.gguf import GGUF, read
from tropa.library.architectures import ENCODERS

_FORGOTTEN_LIMIT = 4096


class Kind(Enum):
    """What a GGUF is good for."""

    MODEL = "model"
    PROJECTOR = "projector"
    ADAPTER = "adapter"


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
    """It turns text into vectors and does not write."""
    vision: bool
    audio: bool
    chat_template: str | None


class Headers:
    """Reads headers and remembers them. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[tuple[int, ...], Header]] = {}

    def of(self, path: Path) -> Header:
        """Raises InvalidGGUF, which names the file and the reason; also if there is none."""
        try:
            stat = path.stat()
        except OSError:
            return describe(read(path))  # which knows how to say it
        stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        with self._lock:
            known = self._known.get(path)
        if known is not None and known[0] == stamp:
            return known[1]
        header = describe(read(path))
        with self._lock:
            if len(self._known) >= _FORGOTTEN_LIMIT:
                self._known.clear()
            self._known[path] = (stamp, header)
        return header


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
