"""Where the bytes of the weights are: in which layer, and whether the engine keeps them as they are in the file."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass

from tropa.gguf.architecture import ENCODERS
from tropa.gguf.header import GGUF
from tropa.gguf.tensor import Tensor

_LAYER = re.compile(r"blk\.(\d{1,6})\.")
_INPUT = ("token_embd", "position_embd", "token_types", "per_layer_token_embd", "per_layer_model_proj")
_OUTPUT = ("output", "cls", "dense_")
_PROJECTOR = ("v.", "mm.", "a.", "s.")

REPACKED = {
    "x86_64": frozenset({"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"}),
    "aarch64": frozenset({"Q4_0", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "IQ4_NL", "MXFP4"}),
}
"""Types that the CPU engine rearranges for its vector instructions: a second copy, in memory of its own.

For processors with AVX2, or with the Arm dot product; older ones rearrange nothing.
"""
_ROWS = {"x86_64": 8, "aarch64": 4}


@dataclass(frozen=True, slots=True)
class Weights:
    """Bytes as they are in the file. `layers[i]` is block i."""

    layers: tuple[int, ...]
    input: int
    """Token embeddings and what else turns tokens into vectors: on the CPU, wherever the layers are."""
    output: int
    """Norm and head, a tied head not counted."""
    tied_head: int
    """Bytes of the embeddings when they serve as the head too: on a GPU that is a copy, on the CPU it is free."""
    projector: int
    """Vision or audio parts inside the same file."""

    @property
    def total(self) -> int:
        return sum(self.layers) + self.input + self.output + self.projector


def weights(gguf: GGUF, layers: int) -> Weights:
    """`layers` is the count of the model's shape: blocks beyond it (next-token heads) go with the last."""
    blocks = [0] * layers
    start = end = projector = 0
    embeddings = 0
    separate_head = not _has_head(gguf)
    for tensor in gguf.tensors:
        layer = layer_of(tensor.name)
        if layer is not None:
            blocks[min(layer, layers - 1)] += tensor.nbytes
        elif tensor.name.startswith(_PROJECTOR):
            projector += tensor.nbytes
        elif tensor.name.startswith(_OUTPUT):
            end += tensor.nbytes
            separate_head |= tensor.name == "output.weight"
        else:
            start += tensor.nbytes
            embeddings += tensor.nbytes if tensor.name == "token_embd.weight" else 0
    return Weights(tuple(blocks), start, end, 0 if separate_head else embeddings, projector)


def layer_of(name: str) -> int | None:
    """The block that a tensor belongs to."""
    place = _LAYER.match(name)
    return int(place[1]) if place else None


@dataclass(frozen=True, slots=True)
class Residence:
    """How the weights lie in the memory of a process that runs all of them on the CPU."""

    mapped: int
    """Pages of the file itself: reclaimable, and shared by processes that map the same file."""
    own: int


def residence(gguf: GGUF, *, mmap: bool, machine: str = "") -> Residence:
    """With `mmap` the file stays mapped beside the rearranged copies, as far as other tensors need it."""
    machine = machine or platform.machine().lower().replace("amd64", "x86_64").replace("arm64", "aarch64")
    model = [tensor for tensor in gguf.tensors if not tensor.name.startswith(_PROJECTOR)]
    kept = [tensor for tensor in model if not _repacked(tensor, machine)]
    copied = sum(tensor.nbytes for tensor in model if _repacked(tensor, machine))
    tied = _has_head(gguf) and not any(tensor.name == "output.weight" for tensor in model)
    for tensor in model:
        if tied and tensor.name == "token_embd.weight" and _fits(tensor, machine):
            copied += tensor.nbytes  # looked up in the file, multiplied in the copy
    if not mmap:
        return Residence(0, copied + sum(tensor.nbytes for tensor in kept))
    span = 0
    if kept:
        first = min(tensor.offset for tensor in kept)
        span = max(tensor.offset + tensor.nbytes for tensor in kept) - first
    return Residence(span, copied)


def prefers_copy(gguf: GGUF) -> bool:
    """Whether the engine rearranges most of the weights: then a mapped file is memory held twice."""
    return 2 * residence(gguf, mmap=True).own > gguf.tensor_bytes


def _has_head(gguf: GGUF) -> bool:
    return gguf.architecture not in ENCODERS


def _repacked(tensor: Tensor, machine: str) -> bool:
    return not tensor.name.startswith(_INPUT) and _fits(tensor, machine)


def _fits(tensor: Tensor, machine: str) -> bool:
    known = tensor.type.name in REPACKED.get(machine, ())
    return known and len(tensor.dims) >= 2 and tensor.dims[1] % _ROWS[machine] == 0
