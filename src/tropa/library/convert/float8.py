"""Weights of eight bits: each block of a matrix has a scale in a tensor of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tropa.library.convert import numbers
from tropa.library.convert.config import Config
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.safetensors import Stored

KIND = "F8_E4M3"
COMPANIONS = ("_scale", "_scale_inv", ".scale", ".scale_inv")
"""Put after the name of a tensor, these make the name of its scales. (Either way they are factors.)"""
UNUSED = (".input_scale", ".activation_scale", ".k_scale", ".v_scale", ".q_scale")
"""Scales of what is calculated, not of weights: here all of that is done in more bits."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """A tensor with its scales. `block`: rows and columns that share one."""

    stored: Stored
    scale: Stored
    block: tuple[int, int]

    def read(self) -> Any:
        """As bits of bfloat16. Raises InvalidSafetensors."""
        rows, columns = self.stored.shape
        scale = numbers.wide(self.scale.dtype, self.scale.read())
        shape = -(-rows // self.block[0]), -(-columns // self.block[1])
        return numbers.scaled(self.stored.read(), scale.reshape(shape), self.block)


def is_companion(name: str, weights: Mapping[str, Stored]) -> bool:
    """Whether a tensor is there only for the sake of another."""
    if name.endswith(UNUSED):
        return True
    return any(
        name.endswith(each)
        and (other := weights.get(name.removesuffix(each))) is not None
        and other.dtype == KIND
        for each in COMPANIONS
    )


def scaled(name: str, weights: Mapping[str, Stored], config: Config) -> Scaled:
    """The tensor `name` with its scales. Raises InvalidModelFolder."""
    stored = weights[name]
    scale = next((weights[name + each] for each in COMPANIONS if name + each in weights), None)
    if scale is None:
        raise InvalidModelFolder(f'missing fp8 scale companion for tensor "{name}"')
    if len(stored.shape) != 2:
        raise InvalidModelFolder(f'tensor "{name}" is of type {KIND} and no matrix')
    rows, columns = stored.shape
    match scale.shape:
        case () | (1,) | (1, 1):
            block = rows, columns
        case (int(n),) | (int(n), 1) if n == rows:
            block = 1, columns
        case _:
            block = _block(name, config)
    shape = -(-rows // block[0]), -(-columns // block[1])
    count = 1
    for each in scale.shape:
        count *= each
    if count != shape[0] * shape[1] or (len(scale.shape) == 2 and scale.shape != shape):
        raise InvalidModelFolder(
            f'tensor "{scale.name}" has shape {list(scale.shape)}; "{name}" needs {list(shape)} scales'
        )
    return Scaled(stored, scale, block)


def _block(name: str, config: Config) -> tuple[int, int]:
    """Rows and columns of a block, where quantization_config says it."""
    settings = config.inner("quantization_config")
    found: object = settings.fields.get("weight_block_size") if settings else None
    groups = settings.inner("config_groups") if settings and found is None else None
    for key in groups.fields if groups else ():
        weights = inner.inner("weights") if groups and (inner := groups.inner(key)) else None
        if weights is not None and found is None:
            found = weights.fields.get("block_structure")
    if found is None:
        raise InvalidModelFolder(f'missing fp8 block size metadata for tensor "{name}"')
    if not isinstance(found, list) or len(found) != 2:
        raise config.wrong("quantization_config", found, "two numbers for a block")
    sizes = Config({"rows": found[0], "columns": found[1]}, f"{config.file}: block size")
    return sizes.count("rows"), sizes.count("columns")
