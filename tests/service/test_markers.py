"""Which texts are read alike whether special tokens are looked for or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import models
from tropa.service.markers import read


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.bert(tmp_path_factory.mktemp("bert") / "bert.gguf")


@pytest.mark.parametrize("text", ["ba be", "Grüße, 字!", "a (b) c; d?\n"])
def test_words_are_no_special_tokens(bert: Path, text: str) -> None:
    assert read(bert).absent(text)


@pytest.mark.parametrize("text", ["[CLS]", "a <s> b", "<|im_end|>", "a]b["])
def test_what_could_be_one_is_looked_at(bert: Path, text: str) -> None:
    assert not read(bert).absent(text)


def test_a_file_that_cannot_be_read_leaves_nothing_certain(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    assert not read(tmp_path / "broken.gguf").absent("ba")
    assert not read(tmp_path / "none.gguf").absent("ba")
