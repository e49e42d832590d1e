"""A folder of safetensors, as one GGUF. Weights pass through one tensor at a time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tropa.library.convert import architectures, numbers, weights
from tropa.library.convert.architecture import Architecture
from tropa.library.convert.float8 import Scaled
from tropa.library.convert.folder import Folder
from tropa.library.convert.plan import Planned, fits, is_narrowed, plan
from tropa.library.convert.safetensors import Stored
from tropa.library.convert.values import Value
from tropa.library.convert.writer import BF16, F16, F32, Out, Writer

FILE_TYPES = {F32: 0, F16: 1, BF16: 32}
"""general.file_type, by the type that most numbers are in."""
OWN = ("general.", "tokenizer.", "adapter.")
"""Keys that begin so are written as they are; others belong to the architecture."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Converted:
    """What became of a folder. `warnings` are sentences for the user."""

    architecture: str
    file_type: int
    fp8: bool
    """The weights had eight bits, and are now written with sixteen."""
    warnings: tuple[str, ...]


def _silent(status: str, done: int, total: int) -> None:
    """Nobody looks."""


def convert(files: Mapping[str, Path], out: Out, *, progress: Progress = _silent) -> Converted:
    """Write the model in `files` (relative names to places on disk) to `out`, which only needs `write`.

    `progress` hears the bytes read so far and all there are to read; what it raises ends the work. Nothing is
    written before the whole folder has been found to fit together. Raises InvalidModelFolder, UnsupportedArchitecture.
    """
    folder = Folder(files)
    architecture = architectures.of(folder)
    stored = weights.read(folder, architecture.prefixes)
    planned = plan(architecture, stored)
    keys = dict(architecture.keys())
    vocabulary = architecture.vocabulary()
    keys |= vocabulary.keys()
    folder.forget()
    work = _Work(progress, planned)
    planned = [work.checked(each) for each in planned]
    fp8 = [name for each in planned for name in each.fp8]
    if fp8:
        keys |= {"source_quantization": "hf_fp8", "source_fp8_tensors": sorted(fp8)}
    file_type = _file_type(planned)
    work.write(out, _named(architecture, keys, file_type), planned)
    return Converted(architecture.gguf, file_type, bool(fp8), (*architecture.warnings, *vocabulary.warnings))


class _Work:
    """Reads, tells how far it is, writes."""

    def __init__(self, progress: Progress, planned: Sequence[Planned]) -> None:
        self._progress = progress
        self._done = 0
        self._total = sum(each.nbytes for plan in planned for each in plan.stored)
        self._total += sum(each.nbytes for plan in planned if is_narrowed(plan) for each in plan.stored)

    def checked(self, planned: Planned) -> Planned:
        """As float32 if float16 would make infinities of its numbers: written first is the type, so look first."""
        if not is_narrowed(planned):
            return planned
        found = planned if fits(planned) else replace(planned, kind=F32)
        self._read(sum(each.nbytes for each in planned.stored))
        return found

    def write(self, out: Out, keys: Mapping[str, Value], planned: Sequence[Planned]) -> None:
        writer = Writer(out, keys, [each.info for each in planned])
        for each in planned:
            writer.begin()
            self._tensor(writer, each)
        writer.end()

    def _tensor(self, writer: Writer, planned: Planned) -> None:
        make = planned.wanted.make
        if make is not None:
            made = make([self._whole(planned.kind, source) for source in planned.sources])
            assert made.shape == planned.wanted.shape, (planned.wanted, made.shape)
            dtype = {F32: "<f4", F16: "<f2", BF16: "<u2"}[planned.kind]
            writer.write(np.ascontiguousarray(made, dtype))
            return
        for source in planned.sources:
            if isinstance(source, Scaled):
                writer.write(np.ascontiguousarray(self._whole(planned.kind, source)))
                continue
            for part in source.parts():
                writer.write(numbers.to(planned.kind, source.dtype, part))
                self._read(part.nbytes)

    def _whole(self, kind: int, source: Stored | Scaled) -> Any:
        dtype = "BF16" if isinstance(source, Scaled) else source.dtype
        found = numbers.to(kind, dtype, source.read())
        self._read((source.stored if isinstance(source, Scaled) else source).nbytes)
        return found.reshape(found.shape or (1,))

    def _read(self, count: int) -> None:
        self._done += count
        self._progress("converting model", self._done, self._total)


def _file_type(planned: Sequence[Planned]) -> int:
    sizes: Counter[int] = Counter()
    for each in planned:
        sizes[each.kind] += math.prod(each.info.shape)
    return FILE_TYPES[sizes.most_common(1)[0][0]]


def _named(architecture: Architecture, keys: Mapping[str, Value], file_type: int) -> dict[str, Value]:
    """All keys, those of the architecture with its name in front."""
    own = (*OWN, f"{architecture.gguf}.")
    named = {
        key if key.startswith(own) else f"{architecture.gguf}.{key}": value for key, value in keys.items()
    }
    return named | {
        "general.architecture": architecture.gguf,
        "general.file_type": file_type,
        "general.quantization_version": 2,
    }
