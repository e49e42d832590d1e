"""The list of architectures is data about one build of the engine. This says when it has to be read again."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from pathlib import Path

import pytest

from tropa.library.architectures import COMMON, ENCODERS, ENGINE, SUPPORTED


def test_the_list_is_for_the_engine_that_is_pinned() -> None:
    assert ENGINE in (importlib.metadata.requires("tropa") or [])


def test_the_pinned_engine_holds_every_name_of_the_list() -> None:
    package, version = ENGINE.split("==")
    if importlib.util.find_spec(package) is None:
        pytest.skip("the engine is not installed")
    assert importlib.metadata.version(package) == version
    folder = Path(str(importlib.metadata.distribution(package).locate_file(package)))
    binary = next(folder.glob("*.abi3.so"), None) or next(folder.glob("*.pyd"))
    held = binary.read_bytes()
    missing = [name for name in sorted(SUPPORTED) if f"{name}\0".encode() not in held]
    assert missing == []
    assert b"unknown model architecture: '" in held


def test_the_short_lists_are_part_of_the_long_one() -> None:
    assert set(COMMON) <= SUPPORTED
    assert ENCODERS <= SUPPORTED
    assert "clip" not in SUPPORTED
