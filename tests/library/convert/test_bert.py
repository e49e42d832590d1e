"""BERT in a folder of sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.goldens import golden
from tests.goldens.engine import embeds_like, running, tokenizes_like
from tests.library.convert.making import Source, as_gguf, imported, source, value
from tropa.library.convert.errors import InvalidModelFolder

POOLING = "1_Pooling/config.json"


@pytest.fixture
def bert(tmp_path: Path) -> Source:
    return source("bert", tmp_path)


@pytest.mark.parametrize("name", ["bert", "bert-cls"])
async def test_an_imported_bert_embeds_as_the_original(name: str, tmp_path: Path) -> None:
    await embeds_like(imported(name, tmp_path), golden.load(name))


async def test_its_tokenizer_cuts_text_as_the_original(tmp_path: Path) -> None:
    await tokenizes_like(imported("bert", tmp_path), golden.tokens("wordpiece"))


async def test_both_ends_of_a_text_are_marked(bert: Source) -> None:
    path, _ = as_gguf(bert.files, bert.place / "m.gguf")
    expected = golden.load("bert").embeddings[0]
    async with running(path, embedding=True, context=128, batch=128) as runner:
        reply = await runner.call("POST", "/tokenize", {"content": expected.text, "add_special": True})
    assert reply["tokens"] == expected.ids


async def test_the_same_vocabulary_as_a_list_will_do(bert: Source) -> None:
    del bert.files["tokenizer.json"]
    path, _ = as_gguf(bert.files, bert.place / "m.gguf")
    await tokenizes_like(path, golden.tokens("wordpiece"))


async def test_a_model_that_minds_case_keeps_it(bert: Source) -> None:
    tokenizer = bert.json("tokenizer.json")
    tokenizer["normalizer"] |= {"lowercase": False, "strip_accents": False}
    bert.put("tokenizer.json", tokenizer)
    path, _ = as_gguf(bert.files, bert.place / "m.gguf")
    async with running(path) as runner:
        reply = await runner.call("POST", "/tokenize", {"content": "Herd herd élèves"})
    tokens = value(bert.read(), "tokenizer.ggml.tokens")
    assert [tokens[i] for i in reply["tokens"]][:2] != ["▁herd", "▁herd"]
    assert tokens[reply["tokens"][-1]] != "▁eleves"


def test_names_of_an_older_time_are_known(bert: Source) -> None:
    expected = {tensor.name: tensor.data.tobytes() for tensor in bert.read().tensors}

    def rename(tensors: dict[str, Any]) -> None:
        for name in list(tensors):
            older = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                "LayerNorm.bias", "LayerNorm.beta"
            )
            tensors[f"bert.{older}"] = tensors.pop(name)
        tensors["cls.predictions.bias"] = tensors["bert.pooler.dense.bias"]

    bert.change(rename)
    assert {tensor.name: tensor.data.tobytes() for tensor in bert.read().tensors} == expected


@pytest.mark.parametrize(
    ("settings", "pooling"),
    [
        ({"pooling_mode_mean_tokens": True}, 1),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, 2),
        ({"pooling_mode_lasttoken": True}, 3),
        ({"pooling_mode": "cls"}, 2),
    ],
)
def test_poolings_the_engine_has(settings: dict[str, Any], pooling: int, bert: Source) -> None:
    bert.put(POOLING, settings)
    assert value(bert.read(), "bert.pooling_type") == pooling


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"pooling_mode_max_tokens": True}, "the pooling is max;"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "the pooling is mean and cls"),
        ({}, "the pooling is not given"),
    ],
)
def test_poolings_the_engine_has_not(settings: dict[str, Any], said: str, bert: Source) -> None:
    bert.put(POOLING, settings)
    with pytest.raises(InvalidModelFolder, match=said):
        bert.convert()


@pytest.mark.parametrize(
    ("modules", "said"),
    [
        ([], "names 0 modules for pooling"),
        ({}, "no list"),
        ("[", "parse modules.json"),
        ([{"type": "sentence_transformers.models.Pooling"}], "no path"),
        (
            [
                {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
                {"type": "sentence_transformers.models.Dense", "path": "2_Dense"},
            ],
            "a module 'Dense'",
        ),
        ([{"type": "sentence_transformers.models.Pooling", "path": "elsewhere"}], "elsewhere/config.json"),
    ],
)
def test_modules_that_make_no_embedding_are_refused(modules: object, said: str, bert: Source) -> None:
    bert.put("modules.json", modules)
    with pytest.raises(InvalidModelFolder, match=said):
        bert.convert()


def test_a_folder_that_says_nothing_of_pooling_is_refused_with_what_to_do(bert: Source) -> None:
    del bert.files["modules.json"]
    with pytest.raises(InvalidModelFolder, match=r"modules\.json is not among the files") as caught:
        bert.convert()
    assert "1_Pooling/config.json" in str(caught.value.hint)


def test_a_tokenizer_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelFolder, match="needs WordPiece"):
        source("bert", tmp_path, tokenizer="qwen2").convert()
