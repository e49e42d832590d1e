from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.library.making import gguf
from tropa.library.bundled import Bundled
from tropa.library.library import Library
from tropa.library.name import Name


@pytest.fixture(autouse=True)
def _nothing_waits_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushing guards against power cuts, which no test here makes; that it happens, and in order, has its own test."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """An empty store without a bundled model."""
    return Library(tmp_path / "models")


@pytest.fixture
def bundled(tmp_path: Path) -> Bundled:
    """A stand-in for the model that comes with the program."""
    path = tmp_path / "package" / "tiny.gguf"
    path.parent.mkdir()
    path.write_bytes(gguf(tensors=3, llama__context_length=2048))
    return Bundled(Name.parse("tiny"), path)


@pytest.fixture
def furnished(tmp_path: Path, bundled: Bundled) -> Library:
    """An empty store, and `tiny`."""
    return Library(tmp_path / "models", bundled)
