"""Making a model smaller: what it will be is decided here, the arithmetic is a child's work.

Memory stays small whatever the model's size: both processes hold a few pieces of it at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from tropa.gguf import GGUF, Tensor
from tropa.gguf import rewrite as new
from tropa.gguf.rewrite import Sink
from tropa.quantize.errors import CannotQuantize, QuantizerFailed
from tropa.quantize.filetype import FileType
from tropa.quantize.mixture import NoBlocks, Target, changed, mixture

READ = 1 << 20
EVERY = 0.1
"""Seconds between two tellings of how far it is."""
FORMAT = 2
"""`general.quantization_version`: how the engine packs today."""
_SPLIT = frozenset(("split.no", "split.count", "split.tensors.count"))
_WIDTHS = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class Plan:
    """A model that is to be made: its header, and where each tensor comes from."""

    source: GGUF
    kind: FileType
    targets: tuple[Target, ...]

    @cached_property
    def tensors(self) -> list[Tensor]:
        """As they will be, with their places."""
        made = (Tensor(each.tensor.name, each.tensor.dims, each.type, 0) for each in self.targets)
        return new.placed(made, self.source.alignment)

    @property
    def idle(self) -> bool:
        """Nothing would change but a word in the header."""
        return next(changed(self.targets), None) is None

    @cached_property
    def header(self) -> bytes:
        stamps = {
            "general.quantization_version": new.u32("general.quantization_version", FORMAT),
            "general.file_type": new.u32("general.file_type", self.kind.number),
        }
        metadata = new.replaced(new.keys(self.source), stamps, _SPLIT)
        return new.header(metadata, self.tensors, self.source.alignment)

    @property
    def size(self) -> int:
        """Of the new file, in bytes."""
        return len(self.header) + sum(self.padded(tensor) for tensor in self.tensors)

    def padded(self, tensor: Tensor) -> int:
        """Bytes that a tensor takes in the file."""
        return new.padded(tensor.nbytes, self.source.alignment)


def plan(source: GGUF, kind: FileType) -> Plan:
    """Decide the type of each tensor. Raises CannotQuantize if the model is packed already, or has no such form."""
    try:
        targets = tuple(mixture(source, kind))
    except NoBlocks as exc:
        raise CannotQuantize(
            f"{kind.name} needs rows that its blocks divide, and this model has others"
        ) from exc
    for each in changed(targets):
        if each.tensor.type.name not in _WIDTHS:
            raise CannotQuantize(
                "quantization is only supported for F16, BF16 and F32 models: "
                f"tensor {each.tensor.name!r} is {each.tensor.type.name} already",
                hint="start from the model's F16, BF16 or F32 file",
            )
    return Plan(source, kind, targets)


def quantize(plan: Plan, out: Sink, *, threads: int | None = None) -> Generator[int, None, None]:
    """Write the new file, telling now and then how many bytes of the source are done.

    Raises QuantizerFailed. Dropping the iterator ends the work.
    """
    out.write(plan.header)
    order = {
        "path": str(plan.source.path),
        "threads": threads or _cores(),
        "tensors": [_order(plan.source, each) for each in plan.targets],
    }
    done, told = 0, time.monotonic()
    # To a file and not a pipe: nobody reads it before the end, and a full pipe would be a standstill.
    with tempfile.TemporaryFile() as complaints, _child(complaints) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            _send(child.stdin, order)
            for each, tensor in zip(plan.targets, plan.tensors, strict=True):
                left = tensor.nbytes
                while left:
                    piece = child.stdout.read1(min(READ, left))  # type: ignore[attr-defined] # it is buffered
                    if not piece:
                        raise _failure(child, complaints)
                    out.write(piece)
                    left -= len(piece)
                    if time.monotonic() - told >= EVERY:
                        yield done + each.tensor.nbytes * (tensor.nbytes - left) // tensor.nbytes
                        told = time.monotonic()
                done += each.tensor.nbytes
                out.write(bytes(plan.padded(tensor) - tensor.nbytes))
            if child.stdout.read(1) or child.wait() != 0:
                raise _failure(child, complaints)
        finally:
            child.kill()
    yield plan.source.tensor_bytes


def _order(source: GGUF, each: Target) -> dict[str, object]:
    tensor = each.tensor
    row = tensor.dims[0] if tensor.dims else 1
    return {
        "name": tensor.name,
        "offset": source.data_offset + tensor.offset,
        "row": row,
        "rows": tensor.elements // row,
        "source": tensor.type.id,
        "target": each.type.id,
    }


def _child(complaints: IO[bytes]) -> subprocess.Popen[bytes]:
    # Isolated (-I): neither the working directory nor PYTHON* variables may change what runs there.
    argv = [sys.executable, "-I", "-m", "tropa.quantize.worker", str(library())]
    return subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        start_new_session=True,  # Ctrl-C is for whoever asked
    )


def _send(pipe: IO[bytes], order: dict[str, object]) -> None:
    try:
        pipe.write(json.dumps(order).encode() + b"\n")
        pipe.flush()
    except BrokenPipeError:  # it died at once: what it said is read where its output is missed
        with suppress(OSError):
            pipe.close()


def _failure(child: subprocess.Popen[bytes], complaints: IO[bytes]) -> QuantizerFailed:
    child.kill()
    status = child.wait()
    complaints.seek(0)
    said = complaints.read(1 << 16).decode(errors="replace").strip().splitlines()
    last = said[-1] if said else ("it said nothing" if status == 0 else f"exit status {status}")
    if status < 0:
        last = f"the quantizer crashed (signal {-status}): {last}"
    return QuantizerFailed(f"quantizing failed: {last}")


def library() -> Path:
    """The engine's library with the arithmetic: the one in the wheel, whichever engine serves."""
    spec = find_spec("xllamacpp")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(folder).glob("xllamacpp*.so")) or sorted(Path(folder).glob("xllamacpp*.pyd")):
            return file
    raise QuantizerFailed("quantizing needs the package xllamacpp, which is not installed")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
