"""The seam to NVML: what `import pynvml` finds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tropa.devices import nvidia

Install = Callable[[ModuleType | None], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put this module in NVML's place; None: the package is not installed."""

    def put(module: ModuleType | None) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", module)
        nvidia.library.cache_clear()

    yield put
    monkeypatch.undo()
    nvidia.library.cache_clear()
