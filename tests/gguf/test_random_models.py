"""The random-weight models of the tests are real ones: the engine loads them, takes any text and answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gguf.engine import running
from tests.support import models
from tropa.gguf import Array, read

ANY_TEXT = "Hello, wörld! 漢字 🦙\n\tdef f(x): return x\x07"
CHAT = [models.llama, models.mixtral, models.gemma2, models.chatglm, models.glm4]


@pytest.mark.parametrize("make", CHAT)
@pytest.mark.parametrize("kind", ["F16", "Q8_0"])
def test_chat_models_answer_any_text_to_the_asked_length(make: Any, kind: str, tmp_path: Path) -> None:
    path = make(tmp_path / "m.gguf", type=kind)
    with running(path) as engine:
        reply = engine.ask("/completion", {"prompt": ANY_TEXT, "n_predict": 40, "seed": 1})
        assert reply["timings"]["predicted_n"] == 40
        assert len(set(reply["content"].split())) > 3, "it says more than one word"
        chat = {"messages": [{"role": "user", "content": ANY_TEXT}], "max_tokens": 4}
        assert engine.ask("/v1/chat/completions", chat)["usage"]["completion_tokens"] == 4
        tokens = engine.ask("/tokenize", {"content": ANY_TEXT})["tokens"]
        assert engine.ask("/detokenize", {"tokens": tokens})["content"].strip() == ANY_TEXT.strip()


@pytest.mark.parametrize("kind", ["F32", "BF16", "Q6_K", "Q4_K", "Q4_0"])
def test_every_type_of_weights_runs(kind: str, tmp_path: Path) -> None:
    path = models.llama(tmp_path / "m.gguf", type=kind, width=256)
    assert kind in {tensor.type.name for tensor in read(path).tensors}
    with running(path) as engine:
        reply = engine.ask("/completion", {"prompt": "ba", "n_predict": 30, "seed": 1})
        assert len(set(reply["content"].split())) > 3


def test_an_embedding_model_tells_texts_apart(tmp_path: Path) -> None:
    with running(models.bert(tmp_path / "m.gguf"), context=512, embedding=True) as engine:
        reply = engine.ask("/embedding", {"content": ["one text", "another", "one text", ANY_TEXT]})
    vectors = [item["embedding"][0] for item in reply]
    assert all(len(vector) == 128 for vector in vectors)
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-3)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-2)


def test_the_benchmark_model_has_100m_parameters_and_seldom_ends_by_itself(tmp_path: Path) -> None:
    path = models.llama_100m(tmp_path / "m.gguf")
    assert 95e6 < read(path).parameter_count < 105e6
    assert path.stat().st_size < 64 << 20
    with running(path) as engine:
        for seed in range(3):
            reply = engine.ask("/completion", {"prompt": "bada", "n_predict": 100, "seed": seed})
            assert reply["timings"]["predicted_n"] == 100


@pytest.mark.parametrize("make", [*CHAT, models.bert])
def test_the_same_seed_makes_the_same_file(make: Any, tmp_path: Path) -> None:
    first, second, other = (
        make(tmp_path / f"{i}.gguf", seed=seed).read_bytes() for i, seed in enumerate((1, 1, 2))
    )
    assert first == second
    assert first != other


@pytest.mark.parametrize("make", [*CHAT, models.bert])
@pytest.mark.parametrize("vocab", [600, 5000])
def test_vocabularies_have_the_asked_size_and_no_word_twice(make: Any, vocab: int, tmp_path: Path) -> None:
    tokens = read(make(tmp_path / "m.gguf", vocab=vocab)).metadata["tokenizer.ggml.tokens"]
    assert isinstance(tokens, Array)
    assert len(set(tokens.values())) == vocab


@pytest.mark.parametrize("make", [*CHAT, models.bert])
def test_a_vocabulary_without_room_for_bytes_is_refused(make: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too small"):
        make(tmp_path / "m.gguf", vocab=100)
