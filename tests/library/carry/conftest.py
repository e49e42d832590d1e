"""A full library, and every way in which its file may arrive."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.library.carry.layouts import OPENED
from tests.library.making import gguf, make
from tropa.library.library import Library


@pytest.fixture(params=OPENED)
def opened(request: pytest.FixtureRequest) -> Callable[[bytes], io.BufferedIOBase]:
    return OPENED[request.param]


@pytest.fixture
def full(tmp_path: Path) -> Library:
    """Two models of the same weights, and one of others."""
    at = Library(tmp_path / "full")
    make(at, "one", gguf(tensors=2), system="be brief")
    make(at, "me/two:x", base="one", system="be long")
    make(at, "three", gguf(tensors=3), template="{{ .Prompt }}")
    return at
