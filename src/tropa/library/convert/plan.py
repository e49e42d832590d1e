"""What a family wants against what the files have: every difference is found before a weight is read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tropa.library.convert import float8, numbers
from tropa.library.convert.architecture import Architecture, Wanted
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.float8 import Scaled
from tropa.library.convert.safetensors import STORED, Stored
from tropa.library.convert.writer import BF16, F16, F32, Info

SHOWN = 4
"""Names in one message."""
BLOCK = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class Planned:
    """One tensor of the GGUF, with all that it is made of. `kind` is the type it will be written in."""

    wanted: Wanted
    sources: tuple[Stored | Scaled, ...]
    kind: int

    @property
    def info(self) -> Info:
        return Info(self.wanted.name, self.wanted.shape, self.kind)

    @property
    def stored(self) -> Iterator[Stored]:
        for each in self.sources:
            yield each.stored if isinstance(each, Scaled) else each

    @property
    def fp8(self) -> list[str]:
        """The names of those sources that had eight bits."""
        return [each.stored.name for each in self.sources if isinstance(each, Scaled)]


def plan(architecture: Architecture, weights: Mapping[str, Stored]) -> list[Planned]:
    """All tensors to write, in their order. Raises InvalidModelFolder."""
    left = set(weights)
    found: dict[str, Planned] = {}
    missing: list[str] = []
    for wanted in architecture.tensors(frozenset(weights)):
        absent = [name for name in wanted.sources if name not in weights]
        if wanted.optional and len(absent) == len(wanted.sources):
            continue
        missing += absent
        if len(missing) > SHOWN:  # a config with a million layers ends here
            break
        if absent:
            continue
        sources = tuple(_source(wanted, name, architecture, weights) for name in wanted.sources)
        assert wanted.name not in found, wanted.name
        found[wanted.name] = Planned(wanted, sources, _kind(wanted, sources))
        left.difference_update(wanted.sources)
    if missing:
        raise InvalidModelFolder(
            f"missing tensors: the files have no {_some(missing)}, which config.json asks for"
        )
    fp8 = any(isinstance(source, Scaled) for each in found.values() for source in each.sources)
    extra = [
        name
        for name in sorted(left)
        if not (architecture.ignores(name) or (fp8 and float8.is_companion(name, weights)))
    ]
    if extra:
        raise InvalidModelFolder(
            f"unknown tensors: the files have {_some(extra)}, "
            f"which a model of this architecture ({architecture.gguf}) with this config.json does not"
        )
    return sorted(found.values(), key=lambda each: _place(each.wanted.name))


def _source(
    wanted: Wanted, name: str, architecture: Architecture, weights: Mapping[str, Stored]
) -> Stored | Scaled:
    stored = weights[name]
    shape = wanted.source_shape or wanted.shape
    if (stored.shape or (1,)) != shape:
        raise InvalidModelFolder(
            f'tensor "{name}" has shape {list(stored.shape)}, and by config.json it should be {list(shape)}'
        )
    if stored.dtype not in STORED:
        raise InvalidModelFolder(f'unknown data type: {stored.dtype} (tensor "{name}" in {stored.file})')
    return float8.scaled(name, weights, architecture.config) if stored.dtype == float8.KIND else stored


def _kind(wanted: Wanted, sources: tuple[Stored | Scaled, ...]) -> int:
    """One-dimensional ones keep all their bits, bfloat16 stays, the rest becomes float16."""
    if wanted.full or len(wanted.shape) < 2 or not sources:
        return F32
    if all(isinstance(each, Scaled) or each.dtype == "BF16" for each in sources):
        return BF16
    return F16


def fits(planned: Planned) -> bool:
    """Whether all its numbers can be written as float16; looks at every one that is stored as something else."""
    return all(
        numbers.largest(each.dtype, part) <= numbers.FLOAT16_LARGEST
        for each in planned.stored
        for part in each.parts()
    )


def is_narrowed(planned: Planned) -> bool:
    """Whether numbers are written with a smaller range than they were stored with."""
    return planned.kind == F16 and any(each.dtype != "F16" for each in planned.stored)


def _place(name: str) -> tuple[bool, int, str]:
    block = BLOCK.match(name)
    return block is None, int(block[1]) if block else 0, name


def _some(names: list[str]) -> str:
    shown = ", ".join(f'"{name[:200]}"' for name in names[:SHOWN])
    return shown + (
        f" and {'more' if len(names) > 2 * SHOWN else len(names) - SHOWN}" if len(names) > SHOWN else ""
    )
