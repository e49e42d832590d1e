"""Thousands of spoilt files, in a process that has no gigabyte to lose: each is read or refused, soon.

`TROPA_FUZZ=N` makes it N mutants, from another seed each time: a failure says which.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gguf import fuzzing
from tests.gguf.raw import STRING, Raw, key
from tests.support.processes import patience
from tropa.gguf import read
from tropa.gguf.errors import BadMetadata

ROOT = Path(__file__).parents[2]
MUTANTS = 12_000

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bounds memory as Linux does")


def test_what_the_mutants_are_made_of_is_sound(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(fuzzing.model().encode())
    fuzzing.look(path)
    assert len(read(path).tensors) == 7


def test_thousands_of_mutants_are_read_or_refused_and_never_cost_much() -> None:
    count = int(os.environ.get("TROPA_FUZZ", "0"))
    seed = int.from_bytes(os.urandom(4), "little") if count else 1
    command = [sys.executable, "-m", "tests.gguf.fuzzing", str(seed), str(count or MUTANTS)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=patience(60 + count / 50), check=False
    )
    assert done.returncode == 0, f"seed {seed}: {done.stderr[-2000:]}"
    result = json.loads(done.stdout)
    assert result["wrong"] == []
    assert result["taken"] + result["refused"] == (count or MUTANTS)
    assert result["taken"] > MUTANTS / 20, "mutants that are still models are worth most"
    assert result["refused"] > MUTANTS / 2


def test_a_reason_quotes_little_of_a_megabyte_of_name(tmp_path: Path) -> None:
    """Found by the mutants: a key whose length swallowed what follows was quoted whole."""
    path = tmp_path / "model.gguf"
    path.write_bytes(Raw(keys=[key("k" * (1 << 20), STRING, b"\xff")]).encode())
    with pytest.raises(BadMetadata) as caught:
        read(path)
    assert len(str(caught.value)) < 1200
    assert "not valid UTF-8" in str(caught.value)
