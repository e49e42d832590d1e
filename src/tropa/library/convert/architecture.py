"""What a family of models has to say, so that everything else is the same for all of them.

A family names each tensor of the GGUF, its shape, and the Hugging Face tensors it is made of. From that alone it
follows which tensors are missing, superfluous or of a wrong shape, before any weight is read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from numpy.typing import NDArray

from tropa.library.convert.config import Config
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.folder import Folder
from tropa.library.convert.tokenizer.vocabulary import Vocabulary
from tropa.library.convert.values import Value

Arrays: TypeAlias = Sequence[NDArray[Any]]
Make: TypeAlias = Callable[[Arrays], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One tensor of the GGUF. Shapes are outermost first, as numpy and Hugging Face write them.

    `make` turns the sources into the result. It gets them in the type they will be written in: one-dimensional
    and `full` ones as float32, others as float16 or as the bits of bfloat16. So it may calculate with the former, and
    must only move the latter around. Without it the sources are written as they are, one after the other: a
    single one, or several that are stacked along the first axis. Without sources it is made from nothing.
    """

    name: str
    shape: tuple[int, ...]
    sources: tuple[str, ...] = ()
    make: Make | None = None
    source_shape: tuple[int, ...] | None = None
    """Of each source, where it differs from `shape`."""
    optional: bool = False
    """It may be missing, all its sources with it."""
    full: bool = False
    """Kept as float32 whatever its dimensions."""


class Architecture(ABC):
    """One family. `warnings` is what a user should be told though the conversion goes on."""

    gguf: str
    """The name the engine knows it by."""
    prefixes: tuple[str, ...] = ()
    """Taken off the front of the names of tensors, the first that fits. Two tensors that become one are an error."""

    def __init__(self, config: Config, folder: Folder) -> None:
        self.config = config
        self.folder = folder
        self.warnings: list[str] = []

    @abstractmethod
    def keys(self) -> Mapping[str, Value]:
        """The hyperparameters. Keys without a known prefix get the architecture's. Raises InvalidModelFolder."""

    @abstractmethod
    def tensors(self, present: frozenset[str]) -> Iterator[Wanted]:
        """All tensors, in any order. `present`: the names there are, prefixes taken off."""

    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """The tokenizer. Raises InvalidModelFolder."""

    def ignores(self, name: str) -> bool:
        """Whether a tensor that no `Wanted` asks for is known to be of no use; any other is an error."""
        return name.endswith(("rotary_emb.inv_freq", ".attn.masked_bias", ".attn.bias"))

    def only(self, key: str, *known: object) -> None:
        """Refuses a model whose config asks for what the engine does not do. A missing key is fine."""
        value = self.config.fields.get(key)
        if value is not None and value not in known:
            wanted = " or ".join(map(repr, known))
            raise InvalidModelFolder(
                f"config.json: {key} is {value!r}; the engine runs {self.gguf} models only with {wanted}"
            )
