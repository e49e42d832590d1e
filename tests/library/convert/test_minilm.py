"""A real model with real weights: all-MiniLM-L6-v2, imported, embeds as `transformers` says it should."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.goldens import folder, golden, minilm
from tests.goldens.engine import cosine, embeds_like, running
from tests.library.convert.making import as_gguf


@pytest.fixture(scope="module")
def original() -> Path:
    return minilm.required()


@pytest.fixture(scope="module")
def imported(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return as_gguf(folder.files(original), tmp_path_factory.mktemp("minilm") / "minilm.gguf")[0]


def test_the_weights_are_those_the_golden_was_made_with(original: Path) -> None:
    found = hashlib.sha256((original / "model.safetensors").read_bytes()).hexdigest()
    assert found == golden.load(minilm.NAME).weights


async def test_it_embeds_as_the_original(imported: Path) -> None:
    await embeds_like(imported, golden.load(minilm.NAME), context=512)


async def test_it_knows_what_is_alike(imported: Path) -> None:
    """A check that needs no golden: two sentences about a herd, one about money."""
    async with running(imported, embedding=True, context=512, batch=512) as runner:
        reply = await runner.call("POST", "/v1/embeddings", {"input": list(minilm.TEXTS[:3])})
    herd, llamas, money = [each["embedding"] for each in reply["data"]]
    assert cosine(herd, llamas) > 0.4 > 0.2 > cosine(herd, money)
