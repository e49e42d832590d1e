"""One tensor of a GGUF: its name, shape, type and place. The weights themselves are the engine's business."""

from __future__ import annotations

from dataclasses import dataclass

from tropa.gguf import limits
from tropa.gguf.cursor import Cursor
from tropa.gguf.errors import AbsurdHeader, BadTensor

LARGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class TensorType:
    """How numbers are packed: `block` of them take `size` bytes."""

    id: int
    name: str
    block: int
    size: int


TYPES = {
    kind.id: kind
    for kind in (
        TensorType(0, "F32", 1, 4),
        TensorType(1, "F16", 1, 2),
        TensorType(2, "Q4_0", 32, 18),
        TensorType(3, "Q4_1", 32, 20),
        TensorType(6, "Q5_0", 32, 22),
        TensorType(7, "Q5_1", 32, 24),
        TensorType(8, "Q8_0", 32, 34),
        TensorType(9, "Q8_1", 32, 36),
        TensorType(10, "Q2_K", 256, 84),
        TensorType(11, "Q3_K", 256, 110),
        TensorType(12, "Q4_K", 256, 144),
        TensorType(13, "Q5_K", 256, 176),
        TensorType(14, "Q6_K", 256, 210),
        TensorType(15, "Q8_K", 256, 292),
        TensorType(16, "IQ2_XXS", 256, 66),
        TensorType(17, "IQ2_XS", 256, 74),
        TensorType(18, "IQ3_XXS", 256, 98),
        TensorType(19, "IQ1_S", 256, 50),
        TensorType(20, "IQ4_NL", 32, 18),
        TensorType(21, "IQ3_S", 256, 110),
        TensorType(22, "IQ2_S", 256, 82),
        TensorType(23, "IQ4_XS", 256, 136),
        TensorType(24, "I8", 1, 1),
        TensorType(25, "I16", 1, 2),
        TensorType(26, "I32", 1, 4),
        TensorType(27, "I64", 1, 8),
        TensorType(28, "F64", 1, 8),
        TensorType(29, "IQ1_M", 256, 56),
        TensorType(30, "BF16", 1, 2),
        TensorType(34, "TQ1_0", 256, 54),
        TensorType(35, "TQ2_0", 256, 66),
        TensorType(39, "MXFP4", 32, 17),
        TensorType(40, "NVFP4", 64, 36),
        TensorType(41, "Q1_0", 128, 18),
        TensorType(42, "Q2_0", 64, 18),
    )
}
REMOVED = {4, 5, 31, 32, 33, 36, 37, 38}
"""Types that older files used and that no current engine reads."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """`dims` is innermost first, as in the file; `offset` counts from where the data start."""

    name: str
    dims: tuple[int, ...]
    type: TensorType
    offset: int

    @property
    def elements(self) -> int:
        count = 1
        for dim in self.dims:
            count *= dim
        return count

    @property
    def nbytes(self) -> int:
        return self.elements // self.type.block * self.type.size


def read_tensor(cursor: Cursor, index: int) -> Tensor:
    """The tensor info at the cursor. Its shape and type are checked here; its place once all are known."""
    name = cursor.string(f"the name of tensor {index}")
    what = f"tensor {name!r}"
    if len(name.encode()) > limits.TENSOR_NAME:
        raise BadTensor(cursor.path, f"the name of {what[:80]}… is longer than {limits.TENSOR_NAME} bytes")
    ndims = cursor.u32(what)
    if ndims > limits.DIMENSIONS:
        raise BadTensor(cursor.path, f"{what} has {ndims} dimensions; the limit is {limits.DIMENSIONS}")
    dims = tuple(cursor.u64(what) for _ in range(ndims))
    number = cursor.u32(what)
    kind = TYPES.get(number)
    if kind is None:
        why = "which engines no longer read" if number in REMOVED else "which is unknown"
        raise BadTensor(cursor.path, f"{what} is of ggml type {number}, {why}")
    tensor = Tensor(name, dims, kind, cursor.u64(what))
    _check_shape(cursor, what, tensor)
    return tensor


def _check_shape(cursor: Cursor, what: str, tensor: Tensor) -> None:
    shape = " x ".join(map(str, tensor.dims))
    if 0 in tensor.dims:
        raise BadTensor(cursor.path, f"{what} has an empty dimension ({shape})")
    if tensor.elements > LARGEST or tensor.nbytes > LARGEST:
        raise AbsurdHeader(cursor.path, f"{what} has a shape beyond all sizes ({shape})")
    row = tensor.dims[0] if tensor.dims else 1
    if row % tensor.type.block:
        why = f"not a multiple of {tensor.type.block} as {tensor.type.name} needs"
        raise BadTensor(cursor.path, f"{what} has rows of {row}, {why}")
