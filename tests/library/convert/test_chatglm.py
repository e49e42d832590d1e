"""GLM-4-9b-chat and CodeGeeX4 as they were published: names, config and tokenizer of their own.

transformers has no class for them, so their goldens speak for the same weights under GLM's names.
"""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest

from tests.goldens import golden
from tests.goldens.engine import answers_like, tokenizes_like
from tests.library.convert.making import Source, as_gguf, imported, source, value
from tests.library.convert.test_mutants import bytewise, survives
from tropa.library.convert.errors import InvalidModelFolder


@pytest.fixture
def chatglm(tmp_path: Path) -> Source:
    return source("chatglm", tmp_path)


@pytest.mark.parametrize("name", ["chatglm", "codegeex4"])
async def test_an_imported_chatglm_answers_as_the_original(name: str, tmp_path: Path) -> None:
    await answers_like(imported(name, tmp_path), golden.load(name))


async def test_a_tokenizer_without_merges_cuts_text_as_the_original(tmp_path: Path) -> None:
    await tokenizes_like(imported("chatglm", tmp_path), golden.tokens("chatglm"))


async def test_a_tokenizer_json_will_do_in_its_place(tmp_path: Path) -> None:
    path, done = as_gguf(source("chatglm", tmp_path, tokenizer="glm").files, tmp_path / "m.gguf")
    assert not done.warnings
    await tokenizes_like(path, golden.tokens("glm"))


def test_special_tokens_come_from_the_tokenizers_settings(chatglm: Source) -> None:
    found = chatglm.read()
    tokens, types = value(found, "tokenizer.ggml.tokens"), value(found, "tokenizer.ggml.token_type")
    assert tokens[1000:1003] == ["<|endoftext|>", "[MASK]", "[gMASK]"]
    assert types[999:1003] == [1, 3, 3, 3]
    assert [value(found, f"tokenizer.ggml.{role}_token_id") for role in ("eos", "eot", "eom")] == [
        1000,
        1007,
        1009,
    ]
    assert "[gMASK]<sop>" in value(found, "tokenizer.chat_template")


def test_attention_with_a_key_for_every_head_has_as_many_groups(chatglm: Source) -> None:
    chatglm.configure(multi_query_attention=False)
    with pytest.raises(InvalidModelFolder, match=r"query_key_value.*128.*192"):
        chatglm.convert()


def test_without_a_bias_none_is_asked_for(chatglm: Source) -> None:
    chatglm.configure(add_qkv_bias=False)
    with pytest.raises(InvalidModelFolder, match=r"unknown tensors: .*query_key_value\.bias"):
        chatglm.convert()
    chatglm.change(
        lambda tensors: [tensors.pop(name) for name in list(tensors) if name.endswith("value.bias")]
    )
    assert not any(tensor.name.endswith(".bias") for tensor in chatglm.read().tensors)


def test_eyes_are_left_out_and_said_to_be(chatglm: Source) -> None:
    chatglm.configure(vision_config={"hidden_size": 8})
    chatglm.change(
        lambda tensors: tensors.update(
            {"transformer.vision.boi": tensors["transformer.encoder.final_layernorm.weight"]}
        )
    )
    assert "only the language model" in chatglm.convert().warnings[0]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (b"IQ== 0\n!! 1\n", "line 2 is no token"),
        (b"IQ== 0\nIg== 2\n", "line 2 has the rank 2; 1 was expected"),
        (b"IQ== 0\nIQ== 1\n", "line 2 has the rank 1"),
        (b"IQ== 0\n" + base64.b64encode(bytes(600)) + b" 1\n", "line 2 is no token"),
        (b"\x0a\x0e\x0a\x05<unk>\x15\0\0\0\0\x18\x02", "SentencePiece"),
    ],
)
def test_a_damaged_or_older_vocabulary_is_refused(lines: bytes, said: str, chatglm: Source) -> None:
    chatglm.put("tokenizer.model", lines)
    with pytest.raises(InvalidModelFolder, match=said):
        chatglm.convert()


@pytest.mark.parametrize(
    "listed", [None, {}, {"7": {"content": "<|user|>"}}, {"x": {}}, {"2000": "<|user|>"}]
)
def test_special_tokens_that_are_missing_or_misplaced_are_named(listed: object, chatglm: Source) -> None:
    settings = chatglm.json("tokenizer_config.json")
    chatglm.put("tokenizer_config.json", settings | {"added_tokens_decoder": listed})
    with pytest.raises(InvalidModelFolder, match="added_tokens_decoder"):
        chatglm.convert()


def test_no_tokenizer_at_all_is_named(chatglm: Source) -> None:
    del chatglm.files["tokenizer.model"]
    with pytest.raises(InvalidModelFolder, match=r"tokenizer\.model is not among the files"):
        chatglm.convert()


def test_bytes_of_a_vocabulary_that_changed_are_taken_or_refused(chatglm: Source, tmp_path: Path) -> None:
    whole = chatglm.files["tokenizer.model"].read_bytes()
    imported, refused = survives(chatglm, "tokenizer.model", bytewise(whole, random.Random(1), 100), tmp_path)
    assert (imported + refused, refused > 20) == (100, True)
