"""What a GGUF file says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tropa.gguf.filetype import UNKNOWN, file_type_name
from tropa.gguf.metadata import Metadata
from tropa.gguf.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Split:
    """This file is part `number` (from 1) of `count`."""

    number: int
    count: int
    tensors: int
    """Of all parts together; 0 if the file does not say."""


@dataclass(frozen=True)
class GGUF:
    """A whole and valid header: every tensor has a known type and lies inside the file."""

    path: Path
    version: int
    metadata: Metadata
    tensors: tuple[Tensor, ...]
    alignment: int
    data_offset: int
    size: int
    """Of the file, in bytes."""
    split: Split | None = None

    @property
    def architecture(self) -> str:
        return self.metadata.text("general.architecture")

    @cached_property
    def parameter_count(self) -> int:
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def tensor_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def file_type(self) -> str:
        """ "Q4_K_M" and the like; "unknown" if the file does not say."""
        if "general.file_type" not in self.metadata:
            return UNKNOWN
        return file_type_name(self.metadata.integer("general.file_type"))

    @property
    def chat_template(self) -> str | None:
        """The Jinja template inside the file."""
        return self.metadata.text("tokenizer.chat_template") or None

    def own(self, key: str) -> str:
        """The full name of a key of this architecture: `block_count` → `llama.block_count`."""
        return f"{self.architecture}.{key}"
