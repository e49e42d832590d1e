"""Opening a GGUF. The bytes are untrusted: what is wrong with them is one specific error, and costs little.

Only the header is read; that the weights are all there is known from the size of the file.
"""

from __future__ import annotations

import stat
from pathlib import Path

from tropa.gguf import limits
from tropa.gguf.cursor import Cursor
from tropa.gguf.errors import (
    AbsurdHeader,
    BadMetadata,
    BadTensor,
    CutShort,
    InvalidGGUF,
    NotGGUF,
    SplitGGUF,
    UnreadableFile,
    UnsupportedGGUF,
)
from tropa.gguf.header import GGUF, Split
from tropa.gguf.metadata import Metadata, read_metadata
from tropa.gguf.tensor import Tensor, read_tensor

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32
LEAST_KEY = 8 + 1 + 4 + 1
LEAST_TENSOR = 8 + 4 + 4 + 8

OTHERS = (
    (b"version https://git-lfs", "a git-lfs pointer: the real file was not downloaded"),
    (b"PK\x03\x04", "a zip archive (PyTorch weights?)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<", "a web page?"),
    (b"lmgg", "the GGML format that came before GGUF"),
    (b"tjgg", "the GGJT format that came before GGUF"),
    (b"fmgg", "the GGMF format that came before GGUF"),
    (b"algg", "a GGLA adapter, the format that came before GGUF"),
)


def read(path: Path | str, *, part: bool = False) -> GGUF:
    """The header of the file at `path`. Raises an `InvalidGGUF` that names the file and the reason.

    One part of a split model is refused unless `part` is true: no engine can run it by itself.
    """
    path = Path(path)
    try:
        # Asked before opening: to open a FIFO would wait for its writer.
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableFile(path, "is a directory, not a GGUF file")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFile(path, "is not a regular file")
        with path.open("rb") as file:
            gguf = _parse(Cursor(file, file.seek(0, 2), path))
    except FileNotFoundError as exc:
        raise UnreadableFile(path, "no such file") from exc
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        if isinstance(exc, OSError):
            raise UnreadableFile(path, f"can't be read: {exc.strerror or exc}") from exc
        raise UnreadableFile(path, f"is not a possible file name: {exc}") from exc
    if gguf.split is not None and not part:
        raise _split_error(gguf.split, path)
    return gguf


def _parse(cursor: Cursor) -> GGUF:
    path = cursor.path
    version = _version(cursor)
    tensor_count = _count(cursor, "tensors", limits.TENSORS, LEAST_TENSOR)
    key_count = _count(cursor, "keys", limits.KEYS, LEAST_KEY)
    metadata = read_metadata(cursor, key_count)
    alignment = _alignment(metadata)
    # Of a split model, only the first part has the model's own keys.
    later = metadata.integer("split.count") > 1 and metadata.integer("split.no", 1) > 0
    if not metadata.text("general.architecture") and not later:
        raise BadMetadata(path, "key 'general.architecture' is missing")
    tensors = tuple(read_tensor(cursor, index) for index in range(tensor_count))
    data_offset = -(-cursor.tell() // alignment) * alignment
    _check_places(path, tensors, alignment, data_offset, cursor.size)
    return GGUF(
        path=path,
        version=version,
        metadata=metadata,
        tensors=tensors,
        alignment=alignment,
        data_offset=data_offset,
        size=cursor.size,
        split=_split(metadata),
    )


def _version(cursor: Cursor) -> int:
    path = cursor.path
    head = cursor.take(min(24, cursor.size), "the magic")
    if not head:
        raise NotGGUF(path, "is empty, not a GGUF file")
    if not MAGIC.startswith(head[:4]):
        for start, what in OTHERS:
            if head.startswith(start):
                raise NotGGUF(path, f"is not a GGUF file (it begins with {head[:4]!r}): {what}")
        raise NotGGUF(path, f"is not a GGUF file: invalid file magic {head[:4]!r}, expected {MAGIC!r}")
    if len(head) < 24:
        raise CutShort(
            path, f"the file is cut short: {cursor.size} bytes, and a GGUF header takes at least 24"
        )
    cursor.skip(4 - cursor.tell(), "the magic")
    version = cursor.u32("the version")
    if not version & 0xFFFF:
        raise UnsupportedGGUF(path, "is a big-endian GGUF; only little-endian ones can be read")
    if version not in (2, 3):
        raise UnsupportedGGUF(path, f"is of GGUF version {version}; 2 and 3 can be read")
    return version


def _count(cursor: Cursor, what: str, limit: int, least: int) -> int:
    count = cursor.u64(f"the number of {what}")
    if count * least > cursor.size:
        why = f"more than a file of {cursor.size} bytes can (damaged, or cut short)"
        raise AbsurdHeader(cursor.path, f"says it holds {count} {what}, {why}")
    if count > limit:
        raise AbsurdHeader(cursor.path, f"says it holds {count} {what}; the limit is {limit}")
    return count


def _alignment(metadata: Metadata) -> int:
    alignment = metadata.integer("general.alignment", DEFAULT_ALIGNMENT)
    says = f"key 'general.alignment' is {alignment}"
    if alignment == 0 or alignment & (alignment - 1):
        raise BadMetadata(metadata.path, f"{says}, which is not a power of two")
    if alignment > limits.ALIGNMENT:
        raise BadMetadata(metadata.path, f"{says}; the limit is {limits.ALIGNMENT}")
    return alignment


def _check_places(
    path: Path, tensors: tuple[Tensor, ...], alignment: int, data_offset: int, size: int
) -> None:
    """Every tensor in the file, aligned, and none on top of another.

    Padding after the last tensor may be missing: some writers leave it out, and no weight is lost with it.
    """
    names: set[str] = set()
    for tensor in tensors:
        if tensor.name in names:
            raise BadTensor(path, f"tensor {tensor.name!r} occurs twice")
        names.add(tensor.name)
        if tensor.offset % alignment:
            where = f"is at offset {tensor.offset}, not a multiple of the alignment {alignment}"
            raise BadTensor(path, f"tensor {tensor.name!r} {where}")
    after = 0
    previous = ""
    for tensor in sorted(tensors, key=lambda tensor: tensor.offset):
        if tensor.offset < after:
            raise BadTensor(path, f"tensors {previous!r} and {tensor.name!r} overlap")
        after, previous = tensor.offset + tensor.nbytes, tensor.name
        end = data_offset + after
        if end > size:
            where = f'tensor "{tensor.name}" offset+size ({end}) exceeds file size ({size})'
            raise CutShort(path, f"the file is cut short: {where}")


def _split(metadata: Metadata) -> Split | None:
    count = metadata.integer("split.count")
    if count < 2:
        return None
    return Split(metadata.integer("split.no") + 1, count, metadata.integer("split.tensors.count"))


def _split_error(split: Split, path: Path) -> InvalidGGUF:
    return SplitGGUF(
        path,
        f"is part {split.number} of {split.count} of a split model; all {split.count} parts are needed",
        hint="Give the folder with all parts, or join them with llama-gguf-split --merge.",
    )
