"""Vocabularies: what is read from which file, and what surrounds it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.goldens import golden
from tests.goldens.engine import running, tokenizes_like, tokens_of
from tests.library.convert import real
from tests.library.convert.making import Source, as_gguf, source, value
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.tokenizer import pretokenizer, sentencepiece
from tropa.library.convert.tokenizer.vocabulary import Type

TOKENS, TYPES = "tokenizer.ggml.tokens", "tokenizer.ggml.token_type"


@pytest.fixture
def llama3(tmp_path: Path) -> Source:
    return source("llama3", tmp_path)


def edited(folder: Source, **fields: Any) -> None:
    """tokenizer.json with other fields."""
    folder.put("tokenizer.json", folder.json("tokenizer.json") | fields)


def set_up(folder: Source, **fields: Any) -> None:
    """tokenizer_config.json with other fields; None takes one away."""
    changed = folder.json("tokenizer_config.json") | fields
    folder.put("tokenizer_config.json", {key: each for key, each in changed.items() if each is not None})


def refusal(folder: Source) -> str:
    with pytest.raises(InvalidModelFolder) as error:
        folder.convert()
    return str(error.value)


def test_a_byte_level_vocabulary(llama3: Source) -> None:
    found = llama3.read()
    tokens, types = value(found, TOKENS), value(found, TYPES)
    assert value(found, "tokenizer.ggml.model") == "gpt2"
    assert value(found, "tokenizer.ggml.pre") == "llama-bpe"
    assert tokens[1000:] == [each["content"] for each in llama3.json("tokenizer.json")["added_tokens"]]
    assert set(types[:1000]) == {Type.NORMAL}
    assert set(types[1000:]) == {Type.CONTROL}
    assert value(found, "tokenizer.ggml.scores")[7] == 7
    assert len(value(found, "tokenizer.ggml.merges")) == len(llama3.json("tokenizer.json")["model"]["merges"])


def test_merges_may_be_pairs_or_texts(llama3: Source) -> None:
    before = value(llama3.read(), "tokenizer.ggml.merges")
    model = llama3.json("tokenizer.json")["model"]
    assert isinstance(model["merges"][0], list) or " " in model["merges"][0]
    edited(llama3, model=model | {"merges": [each.split(" ") for each in before]})
    assert value(llama3.read(), "tokenizer.ggml.merges") == before
    edited(llama3, model=model | {"merges": before})
    assert value(llama3.read(), "tokenizer.ggml.merges") == before


async def test_the_split_of_gpt2_is_not_called_default(tmp_path: Path) -> None:
    """The engine's "default" is another one."""
    folder = source("llama-bias", tmp_path, tokenizer="gpt2")
    path, done = as_gguf(folder.files, tmp_path / "m.gguf")
    assert not done.warnings
    await tokenizes_like(path, golden.tokens("gpt2"))


def test_a_split_that_is_not_in_a_sequence_is_seen_too(llama3: Source) -> None:
    steps = llama3.json("tokenizer.json")["pre_tokenizer"]["pretokenizers"]
    edited(llama3, pre_tokenizer=steps[0])
    assert value(llama3.read(), "tokenizer.ggml.pre") == "llama-bpe"


def test_a_way_to_split_that_is_not_known_is_warned_of(llama3: Source) -> None:
    split = {"type": "Split", "pattern": {"Regex": "[aeiou]+"}, "behavior": "Isolated"}
    edited(llama3, pre_tokenizer={"type": "Sequence", "pretokenizers": [split, {"type": "ByteLevel"}]})
    assert value(llama3.read(), "tokenizer.ggml.pre") == "default"
    assert "answers may be worse" in llama3.convert().warnings[0]


def test_digits_by_themselves_are_a_split_of_their_own() -> None:
    steps = [{"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "use_regex": True}]
    found = pretokenizer.name({"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}})
    assert found == (pretokenizer.GPT2_DIGITS, None)


SPELLINGS = [
    (
        [
            (
                "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
            )
        ],
        "chatglm-bpe",
    ),
    (
        [
            (
                "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}"
                "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"
            )
        ],
        "dbrx",
    ),
    (
        [
            "\\p{N}{1,3}",
            "[一-龥\u3040-ゟ\u30a0-ヿ]+",
            (
                "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+"
                "|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
            ),
        ],
        "deepseek-v3",
    ),
]


@pytest.mark.parametrize(("expressions", "known"), SPELLINGS)
def test_other_spellings_of_a_split_are_known(expressions: list[str], known: str) -> None:
    steps = [{"type": "Split", "pattern": {"Regex": each}} for each in expressions]
    found = pretokenizer.name({"pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}})
    assert found == (known, None)


def test_ids_that_are_missing_are_filled_so_that_no_later_one_moves(llama3: Source) -> None:
    tokenizer = llama3.json("tokenizer.json")
    vocabulary = {text: number for text, number in tokenizer["model"]["vocab"].items() if number != 500}
    edited(llama3, model=tokenizer["model"] | {"vocab": vocabulary, "merges": []})
    tokens = value(llama3.read(), TOKENS)
    assert tokens[500] == "[PAD500]"
    assert tokens[1005] == "<|eot_id|>"


def test_a_vocabulary_smaller_than_the_embedding_is_filled_up(tmp_path: Path) -> None:
    found = source("qwen2", tmp_path).read()
    tokens = value(found, TOKENS)
    assert len(tokens) == 1024
    assert tokens[1003:] == [f"[PAD{i}]" for i in range(21)]
    assert set(value(found, TYPES)[1003:]) == {Type.USER_DEFINED}
    assert set(value(found, "tokenizer.ggml.scores")[1003:]) == {-1}


def test_filling_up_makes_no_token_twice(tmp_path: Path) -> None:
    """The engine aborts over that."""
    folder = source("qwen2", tmp_path)
    more = {"id": 1003, "content": "[PAD0]", "special": False}
    edited(folder, added_tokens=[*folder.json("tokenizer.json")["added_tokens"], more])
    tokens = value(folder.read(), TOKENS)
    assert tokens[1003:1006] == ["[PAD0]", "[PAD1]", "[PAD2]"]
    assert len(set(tokens)) == 1024


def test_tokens_without_a_row_in_the_embedding_are_left_out_and_told_of(llama3: Source) -> None:
    more = [{"id": 1006 + i, "content": f"<extra{i}>", "special": True} for i in range(3)]
    edited(llama3, added_tokens=[*llama3.json("tokenizer.json")["added_tokens"], *more])
    assert len(value(llama3.read(), TOKENS)) == 1006
    said = "the tokenizer has 1009 tokens, the model 1006: 3 tokens from '<extra0>' on have no row in the embedding"
    assert llama3.convert().warnings == (said,)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"model": {"type": "Unigram", "vocab": [["a", 0.0]]}}, "model.type is 'Unigram'"),
    ({"model": {"type": "WordPiece", "vocab": {"a": 0}}}, "model.type is 'WordPiece'; this family needs BPE"),
    ({"model": None}, "is no BPE one"),
    ({"model": {"vocab": {"a": -1}}}, "the id of 'a' is no whole number"),
    ({"model": {"vocab": {"a": 2**40}}}, "an id of 'a' beyond"),
    ({"model": {"vocab": {"a": 0, "b": 0}}}, "'a' and 'b' have the same id 0"),
    ({"model": {"vocab": {"a": 0}, "merges": ["ab"]}}, "a merge is 'ab', and should be two tokens"),
    ({"model": {"vocab": {"a": 0}, "merges": [["a", 1]]}}, "should be two tokens"),
    ({"model": {"vocab": {"\ud800": 0}}}, "no valid Unicode"),
    ({"added_tokens": [{"id": 5}]}, "an added token has no content"),
    ({"added_tokens": {}, "model": {"vocab": {}}}, "it has no tokens"),
    ({"added_tokens": [{"id": 7, "content": "a"}], "model": {"vocab": {"a": 0}}}, "the token 'a' twice"),
    ({"pre_tokenizer": None, "decoder": None}, "works neither on bytes nor falls back to them"),
]


@pytest.mark.parametrize(("fields", "told"), BAD)
def test_a_tokenizer_that_cannot_be_used_is_refused(
    llama3: Source, fields: dict[str, Any], told: str
) -> None:
    edited(llama3, **fields)
    assert told in refusal(llama3)


async def test_a_real_vocabulary_cuts_text_as_its_makers_do(tmp_path: Path) -> None:
    folder = source("llama", tmp_path)
    del folder.files["tokenizer.model"], folder.files["tokenizer_config.json"]
    folder.files |= real.folder()
    folder.configure(vocab_size=129280, bos_token_id=None, eos_token_id=None)
    blank = ("F16", np.zeros((129280, 64)))
    folder.change(
        lambda tensors: tensors.update({"model.embed_tokens.weight": blank, "lm_head.weight": blank})
    )
    path, done = as_gguf(folder.files, tmp_path / "m.gguf")
    assert not done.warnings
    await tokenizes_like(path, real.cases())


# SentencePiece


async def test_a_sentencepiece_vocabulary_is_the_same_from_tokenizer_json(tmp_path: Path) -> None:
    """Many folders have no tokenizer.model any more: the merges of tokenizer.json hold the same order."""
    folder = source("llama", tmp_path)
    first, _ = as_gguf(folder.files, tmp_path / "first.gguf")
    pieces = sentencepiece.read(folder.files.pop("tokenizer.model").read_bytes(), "tokenizer.model")
    folder.put("tokenizer.json", as_tokenizer_json(pieces))
    second, done = as_gguf(folder.files, tmp_path / "second.gguf")
    assert not done.warnings
    found = []
    for path in (first, second):
        async with running(path) as runner:
            found.append([await tokens_of(runner, text) for text in golden.TEXTS])
    assert found[0] == found[1]


def as_tokenizer_json(pieces: sentencepiece.Pieces) -> dict[str, Any]:
    """As transformers writes it: all ways to make a piece of two others, the best piece first."""
    score = dict(zip(pieces.tokens, pieces.scores, strict=True))
    merges = [
        (-score[text], text[:cut], text[cut:])
        for text, kind in zip(pieces.tokens, pieces.types, strict=True)
        for cut in range(1, len(text))
        if kind == Type.NORMAL and text[:cut] in score and text[cut:] in score
    ]
    special = [Type.UNKNOWN, Type.CONTROL]
    return {
        "added_tokens": [
            {"id": i, "content": text, "special": True}
            for i, text in enumerate(pieces.tokens)
            if pieces.types[i] in special
        ],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}]},
        "pre_tokenizer": None,
        "model": {
            "type": "BPE",
            "byte_fallback": True,
            "unk_token": "<unk>",
            "vocab": {text: i for i, text in enumerate(pieces.tokens)},
            "merges": [[left, right] for _, left, right in sorted(merges)],
        },
    }


@pytest.mark.parametrize(
    ("front", "blank"),
    [
        ({"pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "never"}, "normalizer": None}, False),
        ({"pre_tokenizer": {"type": "Metaspace", "prepend_scheme": "first"}, "normalizer": None}, True),
        ({"pre_tokenizer": {"type": "Metaspace", "add_prefix_space": False}, "normalizer": None}, False),
        ({"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}}, False),
        ({}, True),
    ],
)
def test_whether_a_blank_is_put_in_front_is_kept(front: dict[str, Any], blank: bool, tmp_path: Path) -> None:
    folder = source("llama", tmp_path)
    pieces = sentencepiece.read(folder.files.pop("tokenizer.model").read_bytes(), "tokenizer.model")
    folder.put("tokenizer.json", as_tokenizer_json(pieces) | front)
    assert value(folder.read(), "tokenizer.ggml.add_space_prefix") is blank


def test_the_ids_of_a_sentencepiece_model_come_from_the_file_itself(tmp_path: Path) -> None:
    folder = source("gemma", tmp_path)  # bos is 2 and eos 1, not the other way round as in most
    del folder.files["tokenizer_config.json"]
    found = folder.read()
    ids = {
        name: value(found, f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos", "unknown", "padding")
    }
    assert ids == {"bos": 2, "eos": 1, "unknown": 3, "padding": 0}
    assert value(found, "tokenizer.ggml.add_space_prefix") is False
    tokens = value(found, TOKENS)
    assert value(found, "tokenizer.ggml.eot_token_id") == tokens.index("<end_of_turn>")
    assert value(found, TYPES)[tokens.index("<start_of_turn>")] == Type.CONTROL


def test_added_tokens_follow_the_pieces(tmp_path: Path) -> None:
    folder = source("llama", tmp_path)
    folder.configure(vocab_size=1259)
    folder.change(lambda tensors: None)
    folder.put("added_tokens.json", {"<two>": 1257, "<one>": 1256, "<s>": 1})
    folder.put("special_tokens_map.json", {"additional_special_tokens": ["▁the", {"content": "▁a"}, 7]})
    assert "has shape [1256, 64], and by config.json it should be [1259, 64]" in refusal(folder)
    grown = {"model.embed_tokens.weight": (1259, 64), "lm_head.weight": (1259, 64)}
    folder.change(
        lambda tensors: tensors.update({name: ("F32", np.zeros(shape)) for name, shape in grown.items()})
    )
    found = folder.read()
    tokens, types = value(found, TOKENS), value(found, TYPES)
    assert tokens[1256:] == ["<one>", "<two>", "[PAD0]"]
    assert types[1256:] == [Type.USER_DEFINED] * 3
    assert value(found, "tokenizer.ggml.scores")[1256:] == [-1000, -1000, -1]
    assert {types[tokens.index(text)] for text in ("▁the", "▁a")} == {Type.CONTROL}


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ({"<x>": 2000}, r"invalid token id: [2000] as pos [1256]"),
        ({"<x>": 5}, "token mismatch: <x> != <0x02> at pos [5]"),
        ({"<x>": "5"}, "added_tokens.json: the id of '<x>' is 5"),
        ({"<x>": -1}, "added_tokens.json: the id of '<x>' is -1"),
    ],
)
def test_added_tokens_that_do_not_fit_are_refused(listed: dict[str, Any], told: str, tmp_path: Path) -> None:
    folder = source("llama", tmp_path)
    folder.put("added_tokens.json", listed)
    assert told in refusal(folder)


def test_what_is_no_sentencepiece_model_is_refused(tmp_path: Path) -> None:
    folder = source("llama", tmp_path)
    for data in (b"", b"\xff" * 20, b"IQ== 0\nIg== 1\n", b"\x0a\xff\xff\xff\xff\x0f"):
        folder.put("tokenizer.model", data)
        assert "tokenizer.model is no SentencePiece model" in refusal(folder)


def test_a_unigram_model_is_refused_and_not_cut_wrongly(tmp_path: Path) -> None:
    folder = source("llama", tmp_path)
    data = folder.files["tokenizer.model"].read_bytes()
    folder.put("tokenizer.model", data + b"\x12\x02\x18\x01")  # fields of a later message of a kind win
    assert "was trained as unigram" in refusal(folder)


# What surrounds it


def test_special_tokens_are_found_by_text_object_or_id(llama3: Source) -> None:
    set_up(
        llama3,
        bos_token={"content": "<|begin_of_text|>", "lstrip": False},
        eos_token=None,
        pad_token="<|eom_id|>",
    )
    found = llama3.read()
    assert value(found, "tokenizer.ggml.bos_token_id") == 1000
    assert value(found, "tokenizer.ggml.padding_token_id") == 1004
    assert value(found, "tokenizer.ggml.eos_token_id") == 1001, "the first in generation_config.json"
    assert value(found, "tokenizer.ggml.seperator_token_id") is None


def test_several_ends_of_a_text_are_all_ends_for_the_engine(llama3: Source) -> None:
    found = llama3.read()
    assert value(found, "tokenizer.ggml.eos_token_ids") == [1001, 1004, 1005]
    ends = {value(found, f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")}
    assert ends == {1001, 1004, 1005}


@pytest.mark.parametrize(("flag", "written"), [(True, True), (False, False), (None, True)])
def test_whether_bos_is_added_is_said_by_the_config_or_else_by_the_tokenizer(
    llama3: Source, flag: bool | None, written: bool
) -> None:
    set_up(llama3, add_bos_token=flag)
    assert value(llama3.read(), "tokenizer.ggml.add_bos_token") is written


def test_sentencepiece_adds_bos_where_nothing_is_said(tmp_path: Path) -> None:
    """So do its own programs: the engine's default stands."""
    folder = source("llama", tmp_path)
    set_up(folder, add_bos_token=None)
    assert value(folder.read(), "tokenizer.ggml.add_bos_token") is None
    folder.put("tokenizer.json", {"added_tokens": [], "post_processor": None})
    assert value(folder.read(), "tokenizer.ggml.add_bos_token") is None


def test_a_bos_that_does_not_exist_is_never_added(llama3: Source) -> None:
    """The engine would add token 11 instead."""
    set_up(llama3, bos_token=None, add_bos_token=True)
    llama3.configure(bos_token_id=None)
    llama3.put("generation_config.json", {})
    assert value(llama3.read(), "tokenizer.ggml.add_bos_token") is False


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("{{ a }}", "{{ a }}"),
        (
            [{"name": "tool_use", "template": "{{ t }}"}, {"name": "default", "template": "{{ d }}"}],
            "{{ d }}",
        ),
        ([{"name": "rag", "template": "{{ r }}"}], "{{ file }}"),
        (None, "{{ file }}"),
    ],
)
def test_the_chat_template_is_the_default_one_or_that_of_the_file(
    llama3: Source, given: Any, written: str
) -> None:
    llama3.put("chat_template.jinja", "{{ file }}")
    set_up(llama3, chat_template=given)
    assert value(llama3.read(), "tokenizer.chat_template") == written


def test_a_vocabulary_without_an_end_is_warned_of(llama3: Source) -> None:
    set_up(llama3, eos_token=None)
    llama3.configure(eos_token_id=None)
    llama3.put("generation_config.json", {})
    assert "no file names a token that ends a text: the engine takes token 11" in llama3.convert().warnings[0]


def test_a_chat_template_that_is_none_is_refused(llama3: Source) -> None:
    set_up(llama3, chat_template=7)
    assert "invalid chat_template: 7" in refusal(llama3)
