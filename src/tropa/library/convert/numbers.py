"""From the types in which weights are stored to those in which they are written. numpy has neither bfloat16 nor
float8, so these go by their bits.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tropa.library.convert.writer import BF16, F16, F32

FLOAT16_LARGEST = 65504.0
"""What is larger becomes infinite from 65520 on; nothing in between is worth a special case."""


def to(kind: int, dtype: str, stored: NDArray[Any]) -> NDArray[Any]:
    """`stored` (of type `dtype`: F32, F16, BF16) as F32, as F16, or as the bits of BF16. The shape stays."""
    match kind, dtype:
        case (0, "F32") | (1, "F16") | (30, "BF16"):
            return stored
        case 0, _:
            return wide(dtype, stored)
        case 1, _:
            return wide(dtype, stored).astype("<f2")
        case _:
            return narrow(wide(dtype, stored))


def wide(dtype: str, stored: NDArray[Any]) -> NDArray[np.float32]:
    """As float32, exactly."""
    if dtype == "BF16":
        return (stored.astype("<u4") << 16).view("<f4")
    if dtype == "F8_E4M3":
        found: NDArray[np.float32] = _float8()[stored]
        return found
    return stored.astype("<f4", copy=False)


def narrow(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The bits of the nearest bfloat16, ties to even."""
    bits = np.ascontiguousarray(values, "<f4").view("<u4")
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype("<u2")


def largest(dtype: str, stored: NDArray[Any]) -> float:
    """The largest finite magnitude."""
    values = wide(dtype, stored)
    found = max(float(values.max(initial=0.0)), -float(values.min(initial=0.0)))
    if math.isfinite(found):
        return found
    whole = np.abs(values)
    return float(np.max(whole, initial=0.0, where=np.isfinite(whole)))


def scaled(stored: NDArray[Any], scale: NDArray[np.float32], block: tuple[int, int]) -> NDArray[np.uint16]:
    """A float8 matrix, each block of rows and columns times its scale, as bits of bfloat16. A band at a time."""
    rows, columns = stored.shape
    found = np.empty((rows, columns), "<u2")
    for i, top in enumerate(range(0, rows, block[0])):
        band = wide("F8_E4M3", stored[top : top + block[0]])
        factors = np.repeat(scale[i], block[1])[:columns]
        found[top : top + block[0]] = narrow(band * factors)
    return found


@cache
def _float8() -> NDArray[np.float32]:
    """The 256 values of E4M3 (the variant without infinities)."""
    codes = np.arange(256)
    sign = np.where(codes & 0x80, -1.0, 1.0)
    exponent, mantissa = (codes >> 3) & 15, codes & 7
    value = np.where(exponent, (1 + mantissa / 8) * 2.0 ** (exponent - 7), mantissa / 8 * 2.0**-6)
    value[(codes & 0x7F) == 0x7F] = np.nan
    return (sign * value).astype("<f4")


assert (F32, F16, BF16) == (0, 1, 30)  # the cases above
