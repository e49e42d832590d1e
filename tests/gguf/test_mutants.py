"""Thousands of spoilt files: each is read or refused by name, soon and in little memory, by all that meet them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("seed", [1, 2])
def test_every_mutant_is_read_or_refused_by_name(tmp_path: Path, seed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.gguf.mutants", str(tmp_path), str(seed), "1500"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert sum(said.values()) == 1500
    kinds = {"read", "not-gguf", "gguf-cut-short", "gguf-absurd", "gguf-bad-metadata", "gguf-bad-tensor"}
    assert said.keys() >= kinds  # the mutants go wrong in all the ways there are
    assert said["read"] < 750
    assert "of which file?" not in said
