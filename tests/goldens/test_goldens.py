"""The machinery itself; what the goldens are for is tested where the families are."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

from tests.goldens import folder, golden, weights
from tests.goldens.specs import SPECS


@pytest.mark.parametrize("name", SPECS)
def test_the_weights_are_those_the_golden_was_made_with(name: str, tmp_path: Path) -> None:
    written = folder.write(SPECS[name], tmp_path / name) / "model.safetensors"
    assert hashlib.sha256(written.read_bytes()).hexdigest() == golden.load(name).weights


@pytest.mark.parametrize("name", SPECS)
def test_no_golden_stands_on_a_close_choice(name: str) -> None:
    for run in golden.load(name).runs:
        assert [step[0][0] for step in run.top] == run.next
        assert min(step[0][1] - step[1][1] for step in run.top) >= golden.SENSITIVE


def test_every_tokenizer_has_its_texts() -> None:
    for path in folder.TOKENIZERS.iterdir():
        assert [case.text for case in golden.tokens(path.name)] == golden.texts(path.name)


@pytest.mark.parametrize("std", [0.1, 0.375, 1.0, 3.0])
def test_weights_spread_as_asked(std: float) -> None:
    values = weights.spread(1, "any", (400, 400), std)
    assert abs(float(values.std()) / std - 1) < 0.02
    assert abs(float(values.mean())) < std / 50


def test_numbers_that_a_type_cannot_hold_are_refused(tmp_path: Path) -> None:
    third = {"x": np.full((2, 2), 1 / 3, np.float32)}
    for dtype in ("F16", "BF16"):
        with pytest.raises(ValueError, match=re.escape(f"not exact in {dtype}")):
            folder.save(tmp_path / "x.safetensors", third, dtype)
