"""Models to quantize: small, of every kind of layer that has rules of its own, and the same bytes everywhere."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import models

_SMALL = {"width": 256, "vocab": 400, "feed_forward": 512}
SOURCES: dict[str, dict[str, Any]] = {
    "llama": {**_SMALL, "layers": 9, "heads": 8, "kv_heads": 2, "type": "F16"},
    "gemma2": {**_SMALL, "layers": 8, "heads": 4, "type": "F32"},
    "chatglm": {**_SMALL, "layers": 3, "heads": 4, "type": "F16"},
    "glm4": {**_SMALL, "layers": 3, "heads": 8, "type": "BF16"},
    "mixtral": {**_SMALL, "feed_forward": 256, "layers": 2, "heads": 8, "experts": 8, "type": "F16"},
    "odd": {"width": 96, "vocab": 400, "feed_forward": 200, "layers": 3, "heads": 4, "type": "F16"},
    "bert": {"width": 128, "vocab": 400, "layers": 2, "type": "F32"},
}
"""`odd` has rows that blocks of 256 and of 32 do not divide."""


class Steady:
    """In place of numpy's generator, whose numbers may differ between its versions."""

    def __init__(self, seed: int) -> None:
        self._seed, self._calls = seed, 0

    def standard_normal(self, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
        """Four dice together: near enough, and exact arithmetic."""
        count = int(np.prod(shape))
        dice = np.frombuffer(self._bytes(8 * count), "<u2").reshape(count, 4).astype(np.float32)
        numbers: NDArray[Any] = (dice.sum(axis=1) - 2 * 65535) / np.float32(32768)
        return numbers.astype(dtype).reshape(shape)

    def _bytes(self, count: int) -> bytes:
        self._calls += 1
        return hashlib.shake_256(f"{self._seed} {self._calls}".encode()).digest(count)


def make(name: str, folder: Path) -> Path:
    """Write the source of that name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "default_rng", Steady)
        path: Path = getattr(models, {"odd": "llama"}.get(name, name))(
            folder / f"{name}.gguf", **SOURCES[name]
        )
        return path
