"""A model that came in several GGUF files: which belong together, and the one file they become."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tropa.gguf import GGUF
from tropa.gguf import rewrite as new
from tropa.gguf.rewrite import Sink
from tropa.library.errors import InvalidRecipe

PIECE = 8 << 20
_NAME = re.compile(r"(?P<prefix>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_KEYS = frozenset(("split.no", "split.count", "split.tensors.count"))


@dataclass(frozen=True, slots=True)
class ShardName:
    """`<prefix>-00001-of-00003.gguf`."""

    prefix: str
    index: int
    count: int

    @staticmethod
    def parse(file: str) -> ShardName | None:
        match = _NAME.fullmatch(PurePosixPath(file).name)
        return ShardName(match["prefix"], int(match["index"]), int(match["count"])) if match else None

    def sibling(self, index: int) -> str:
        return f"{self.prefix}-{index:05}-of-{self.count:05}.gguf"


def ordered(shards: Mapping[str, GGUF]) -> list[GGUF]:
    """The parts of one model, by their file names, in their order. Raises InvalidRecipe unless all are there."""
    found: dict[int, GGUF] = {}
    count = 0
    for file, gguf in shards.items():
        said = f'split GGUF "{file}"'
        name, split = ShardName.parse(file), gguf.split
        assert split is not None
        if name is None:
            raise InvalidRecipe(
                f"{said} must use llama.cpp split filename pattern (name-00001-of-00003.gguf)"
            )
        if name.count != split.count:
            raise InvalidRecipe(
                f"{said} filename count {name.count} does not match metadata count {split.count}"
            )
        if "split.no" not in gguf.metadata:
            raise InvalidRecipe(f"{said} is missing split.no metadata")
        if not 1 <= name.index <= name.count:
            raise InvalidRecipe(f"{said} has invalid shard index {name.index}")
        if name.index != split.number:
            raise InvalidRecipe(
                f"{said} filename index {name.index} does not match metadata index {split.number}"
            )
        count = count or name.count
        if name.count != count:
            raise InvalidRecipe(f"{said} has {name.count} shards, expected {count}")
        if name.index in found:
            raise InvalidRecipe(f"split GGUF has duplicate shard index {name.index}")
        found[name.index] = gguf
    missing = [index for index in range(1, count + 1) if index not in found]
    if missing[:1] == [1]:
        raise InvalidRecipe("split GGUF is missing first shard", hint=f"give all {count} parts")
    if missing:
        raise InvalidRecipe(
            f'split GGUF "{next(iter(shards))}" is missing shard {missing[0]}', hint=f"give all {count} parts"
        )
    parts = [found[index] for index in range(1, count + 1)]
    _check_tensors(parts, next(iter(shards)))
    return parts


def _check_tensors(parts: list[GGUF], file: str) -> None:
    names: set[str] = set()
    for part in parts:
        for tensor in part.tensors:
            if tensor.name in names:
                raise InvalidRecipe(f'split GGUF "{file}": tensor {tensor.name!r} is in two shards')
            names.add(tensor.name)
    split = parts[0].split
    if split is not None and split.tensors and split.tensors != len(names):
        raise InvalidRecipe(
            f'split GGUF "{file}": the shards hold {len(names)} tensors, expected {split.tensors}'
        )


@dataclass(frozen=True)
class Joined:
    """One file out of several: the first one's keys, everybody's weights."""

    parts: list[GGUF]

    @property
    def weights(self) -> int:
        """Bytes of all tensors."""
        return sum(part.tensor_bytes for part in self.parts)

    def write(self, out: Sink) -> Iterator[int]:
        """Write the whole file, telling after every few megabytes how many bytes of weights are done."""
        first = self.parts[0]
        tensors = [tensor for part in self.parts for tensor in part.tensors]
        metadata = new.replaced(new.keys(first), {}, _KEYS)
        out.write(new.header(metadata, new.placed(tensors, first.alignment), first.alignment))
        done = 0
        for part in self.parts:
            with part.path.open("rb") as file:
                for tensor in part.tensors:
                    file.seek(part.data_offset + tensor.offset)
                    left = tensor.nbytes
                    while left:
                        piece = file.read(min(PIECE, left))
                        if not piece:
                            raise InvalidRecipe(f"{part.path.name} became shorter while it was read")
                        out.write(piece)
                        left -= len(piece)
                        done += len(piece)
                        yield done
                    size = tensor.nbytes
                    out.write(bytes(new.padded(size, first.alignment) - size))


def siblings(path: Path) -> list[Path]:
    """All files of the split model that `path` is a part of, itself included; `[path]` if it is whole."""
    name = ShardName.parse(path.name)
    if name is None:
        return [path]
    files = (path.with_name(name.sibling(index)) for index in range(1, name.count + 1))
    return [file for file in files if file == path or file.is_file()]
