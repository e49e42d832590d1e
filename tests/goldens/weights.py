"""Random weights that are the same on every machine and in every number format.

Each is a small integer times a power of two, and the integers are bytes of SHAKE-256 over the seed and the tensor's
name: no generator whose stream a new version may change, no rounding in F32, F16 or BF16. So a file of any of these
types holds the same model, and a conversion among them loses nothing.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def spread(seed: int, name: str, shape: tuple[int, ...], std: float) -> Array:
    """Uniform around 0 with (about) this standard deviation."""
    step = math.floor(math.log2(127 / (std * math.sqrt(3))))
    most = round(std * math.sqrt(3) * 2.0**step)
    return np.ldexp(_integers(seed, name, shape, most).astype(np.float32), -step)


def around(centre: float, seed: int, name: str, shape: tuple[int, ...]) -> Array:
    """Uniform around 0 or 1, within a half, or around 6, within 4: weights of a norm."""
    step = 4 if centre > 1 else 7
    return np.ldexp(_integers(seed, name, shape, 63).astype(np.float32), -step) + np.float32(centre)


def _integers(seed: int, name: str, shape: tuple[int, ...], most: int) -> NDArray[np.int32]:
    """From -most to most, 127 at the utmost."""
    raw = hashlib.shake_256(f"{seed}/{name}".encode()).digest(2 * math.prod(shape))
    numbers = np.frombuffer(raw, "<u2").astype(np.int32).reshape(shape)
    return (numbers * (2 * most + 1) >> 16) - most
