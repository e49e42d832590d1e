"""Rotary positions: what config.json says of them, in its older and its newer spelling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tropa.library.convert.config import Config
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.values import Value


@dataclass(frozen=True, slots=True)
class Rope:
    """`kind` is default, linear, llama3, yarn, longrope or dynamic; its numbers are in `scaling`."""

    theta: float
    kind: str
    scaling: Config
    partial: float
    """The share of each head that is rotated."""


def read(config: Config, *, theta: float = 10000.0) -> Rope:
    """From `rope_theta` and `rope_scaling`, or from `rope_parameters`. Raises InvalidModelFolder."""
    newer = config.inner("rope_parameters")
    scaling = newer or config.inner("rope_scaling") or Config({}, f"{config.file}: rope_scaling")
    kind = scaling.text("rope_type") or scaling.text("type") or "default"
    kind = {"su": "longrope"}.get(kind, kind)
    base = newer if newer is not None and "rope_theta" in newer else config
    share = newer if newer is not None and "partial_rotary_factor" in newer else config
    found = Rope(
        base.number("rope_theta", default=theta),
        kind,
        scaling,
        share.number("partial_rotary_factor", default=1.0),
    )
    if found.theta <= 0 or not 0 < found.partial <= 1:
        raise InvalidModelFolder(f"{config.file}: rope_theta or partial_rotary_factor is out of range")
    return found


def keys(rope: Rope, trained: int) -> dict[str, Value]:
    """The keys of what the engine scales by itself. `trained` is the context of the model."""
    found: dict[str, Value] = {"rope.freq_base": rope.theta}
    match rope.kind:
        case "default" | "llama3" | "dynamic" | "longrope":
            pass
        case "linear":
            found |= {"rope.scaling.type": "linear", "rope.scaling.factor": rope.scaling.number("factor")}
        case "yarn":
            original = rope.scaling.count("original_max_position_embeddings", default=trained)
            found |= {
                "rope.scaling.type": "yarn",
                "rope.scaling.factor": rope.scaling.number("factor"),
                "rope.scaling.original_context_length": original,
            }
            for key, name in (("beta_fast", "yarn_beta_fast"), ("beta_slow", "yarn_beta_slow")):
                if key in rope.scaling:
                    found[f"rope.scaling.{name}"] = rope.scaling.number(key)
        case _:
            raise InvalidModelFolder(
                f"{rope.scaling.file}: rope_type {rope.kind!r} is not known; "
                "default, linear, llama3, yarn, dynamic and longrope are"
            )
    return found


def llama3(rope: Rope, dimensions: int) -> NDArray[np.float32]:
    """What Llama 3.1 divides the frequencies of its rotation by, one number for each pair of `dimensions`."""
    factor = rope.scaling.number("factor", default=8.0)
    low = rope.scaling.number("low_freq_factor", default=1.0)
    high = rope.scaling.number("high_freq_factor", default=4.0)
    original = rope.scaling.count("original_max_position_embeddings", default=8192)
    if min(factor, low, high) <= 0 or high == low:
        raise InvalidModelFolder(
            f"{rope.scaling.file}: factor, low_freq_factor and high_freq_factor don't fit together"
        )
    found = []
    for i in range(0, dimensions, 2):
        wavelength = 2 * math.pi * rope.theta ** (i / dimensions)
        if wavelength < original / high:
            found.append(1.0)
        elif wavelength > original / low:
            found.append(factor)
        else:
            smooth = (original / wavelength - low) / (high - low)
            found.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(found, np.float32)


def interleaved(weights: NDArray[np.generic], heads: int) -> NDArray[np.generic]:
    """Rows of a query or key, or its bias, as the engine's llama rotates them: neighbours instead of halves."""
    rows = weights.shape[0]
    split = weights.reshape(heads, 2, rows // heads // 2, *weights.shape[1:])
    return np.ascontiguousarray(split.swapaxes(1, 2)).reshape(weights.shape)
