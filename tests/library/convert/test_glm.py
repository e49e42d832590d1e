"""GLM-4 in the layout of transformers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.goldens import golden
from tests.goldens.engine import answers_like, tokenizes_like
from tests.library.convert.making import Source, imported, source, value
from tropa.library.convert.errors import InvalidModelFolder


@pytest.fixture
def glm(tmp_path: Path) -> Source:
    return source("glm", tmp_path)


@pytest.mark.parametrize("name", ["glm", "glm4"])
async def test_an_imported_glm_answers_as_the_original(name: str, tmp_path: Path) -> None:
    await answers_like(imported(name, tmp_path), golden.load(name))


async def test_its_tokenizer_cuts_text_as_the_original(tmp_path: Path) -> None:
    await tokenizes_like(imported("glm", tmp_path), golden.tokens("glm"))


def test_an_answer_ends_where_the_user_or_a_tool_would_go_on(glm: Source) -> None:
    found = glm.read()
    ids = [value(found, f"tokenizer.ggml.{role}_token_id") for role in ("eos", "eot", "eom")]
    tokens = value(found, "tokenizer.ggml.tokens")
    assert [tokens[i] for i in ids] == ["<|endoftext|>", "<|user|>", "<|observation|>"]
    assert value(found, "tokenizer.ggml.add_bos_token") is False


def test_the_norm_and_the_context_are_the_configs_own(glm: Source) -> None:
    """llama.cpp's converter has neither for this layout: it takes 1e-5, and the width for the context."""
    found = glm.read()
    assert value(found, "chatglm.attention.layer_norm_rms_epsilon") == pytest.approx(1.5625e-07)
    assert value(found, "chatglm.context_length") == 512


def test_half_of_each_head_is_rotated_where_nothing_is_said(glm: Source) -> None:
    glm.configure(partial_rotary_factor=None)
    assert value(glm.read(), "chatglm.rope.dimension_count") == 8
    glm.configure(rope_parameters={"rope_theta": 70000.0, "partial_rotary_factor": 0.25})
    assert value(glm.read(), "chatglm.rope.dimension_count") == 4
    assert value(glm.read(), "chatglm.rope.freq_base") == 70000


def test_words_that_are_tokens_are_taken_whole_if_the_original_does(glm: Source) -> None:
    assert value(glm.read(), "tokenizer.ggml.pre") == "glm4"
    tokenizer = glm.json("tokenizer.json")
    tokenizer["model"]["ignore_merges"] = False
    glm.put("tokenizer.json", tokenizer)
    assert value(glm.read(), "tokenizer.ggml.pre") == "chatglm-bpe"


def test_tokens_without_a_row_in_the_embedding_are_warned_of(glm: Source) -> None:
    glm.configure(vocab_size=1008)
    glm.change(
        lambda tensors: tensors.update(
            {name: (kind, rows[:1008]) for name, (kind, rows) in tensors.items() if len(rows) == 1010}
        )
    )
    assert "the tokenizer has 1010 tokens, the model 1008" in glm.convert().warnings[0]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"rope_scaling": {"type": "default", "mrope_section": [2, 3, 3]}}, "mrope_section"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8}}, "no rope scaling 'llama3'"),
        ({"head_dim": 32}, "4 heads of 32"),
    ],
)
def test_what_the_engine_does_not_do_is_refused(fields: dict[str, object], said: str, glm: Source) -> None:
    glm.configure(**fields)
    with pytest.raises(InvalidModelFolder, match=said):
        glm.convert()


def test_a_tokenizer_of_another_family_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelFolder, match=r"no <\|endoftext\|>"):
        source("glm", tmp_path, tokenizer="llama3").convert()
