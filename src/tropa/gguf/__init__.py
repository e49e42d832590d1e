"""GGUF files: reading their headers as untrusted bytes, and knowing from them what a model is and needs.

`read` opens a file. Nothing here imports the engine or the `gguf` package.
"""

from tropa.gguf.errors import InvalidGGUF
from tropa.gguf.header import GGUF, Split
from tropa.gguf.metadata import Metadata
from tropa.gguf.reader import read
from tropa.gguf.tensor import Tensor, TensorType
from tropa.gguf.value import Array, Value, ValueType

__all__ = [
    "GGUF",
    "Array",
    "InvalidGGUF",
    "Metadata",
    "Split",
    "Tensor",
    "TensorType",
    "Value",
    "ValueType",
    "read",
]
