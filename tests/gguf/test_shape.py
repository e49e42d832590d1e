"""The numbers of a model, for every way in which files write them down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gguf.raw import ARRAY, BOOL, STRING, U32, Raw, key
from tests.support import models
from tropa.gguf import read
from tropa.gguf.architecture import KNOWN
from tropa.gguf.errors import BadMetadata
from tropa.gguf.shape import ModelShape, is_adapter, is_projector, shape


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def of(file: Path, architecture: str, **own: Any) -> ModelShape:
    """The shape of a file with these keys (`__` for a dot); lists become arrays."""
    raw = Raw(keys=[key("general.architecture", STRING, architecture)])
    numbers = {"block_count": 4, "embedding_length": 64, "attention__head_count": 8} | own
    for name, value in numbers.items():
        name = f"{architecture}.{name.replace('__', '.')}"
        if isinstance(value, list):
            kind = BOOL if isinstance(value[0], bool) else U32
            raw.keys.append(key(name, ARRAY, (kind, value)))
        elif value is not None:
            raw.keys.append(key(name, U32, value))
    file.write_bytes(raw.encode())
    return shape(read(file))


def windows(model: ModelShape) -> list[int]:
    return [layer.window for layer in model.layers]


def states(model: ModelShape) -> list[bool]:
    return [bool(layer.state) for layer in model.layers]


def caches(model: ModelShape) -> list[int]:
    return [layer.kv_heads for layer in model.layers]


def test_a_plain_model(file: Path) -> None:
    model = of(
        file, "llama", attention__head_count_kv=2, feed_forward_length=100, context_length=4096, vocab_size=9
    )
    assert [(layer.heads, layer.kv_heads, layer.feed_forward) for layer in model.layers] == [(8, 2, 100)] * 4
    assert (model.layers[0].key_length, model.layers[0].key_width) == (8, 16)
    assert (model.trained_context, model.vocabulary) == (4096, 9)
    assert not model.embedding
    assert model.cached
    assert not model.windowed
    assert not model.recurrent


def test_without_key_value_heads_there_are_as_many_as_heads(file: Path) -> None:
    assert caches(of(file, "llama")) == [8] * 4


def test_heads_may_differ_by_layer(file: Path) -> None:
    model = of(file, "deci", attention__head_count_kv=[2, 0, 4, 2], feed_forward_length=[1, 2, 3, 4])
    assert caches(model) == [2, 0, 4, 2]
    assert [layer.feed_forward for layer in model.layers] == [1, 2, 3, 4]


def test_head_lengths_may_be_given(file: Path) -> None:
    model = of(file, "gemma2", attention__key_length=32, attention__value_length=16)
    assert (model.layers[0].key_width, model.layers[0].value_width) == (256, 128)


def test_compressed_attention_caches_only_keys(file: Path) -> None:
    model = of(
        file,
        "deepseek2",
        attention__head_count_kv=1,
        attention__key_length=576,
        attention__value_length=512,
        attention__key_length_mla=192,
        attention__value_length_mla=128,
    )
    assert (model.layers[0].key_width, model.layers[0].value_width) == (576, 0)


@pytest.mark.parametrize(
    ("architecture", "own", "expected"),
    [
        ("gemma2", {}, [4096, 0, 4096, 0]),
        ("gemma2", {"attention__sliding_window": 512}, [512, 0, 512, 0]),
        ("gpt-oss", {"attention__sliding_window": 128}, [128, 0, 128, 0]),
        ("gemma3", {"attention__sliding_window": 512, "block_count": 7}, [512] * 5 + [0, 512]),
        ("gemma3", {}, [0] * 4),
        ("cohere2", {"attention__sliding_window": 9}, [9, 9, 9, 0]),
        ("smallthinker", {"attention__sliding_window": 9}, [0, 9, 9, 9]),
        ("llama4", {}, [8192, 8192, 8192, 0]),
        ("llama4", {"attention__sliding_window": 0}, [0] * 4),
        ("exaone4", {"attention__sliding_window": 9}, [0] * 4),
        # The engine ignores a window that it does not know how to use.
        ("llama", {"attention__sliding_window": 4096}, [0] * 4),
        ("phi3", {"attention__sliding_window": 2048}, [0] * 4),
        (
            "gemma4",
            {"attention__sliding_window": 9, "attention__sliding_window_pattern": [True, False, True, True]},
            [9, 0, 9, 9],
        ),
        (
            "gemma3",
            {"attention__sliding_window": 9, "attention__sliding_window_pattern": [0, 1, 1, 0]},
            [0, 9, 9, 0],
        ),
        ("gemma3", {"attention__sliding_window": 9, "attention__sliding_window_pattern": 2}, [9, 0, 9, 0]),
    ],
)
def test_sliding_windows_by_layer(
    file: Path, architecture: str, own: dict[str, Any], expected: list[int]
) -> None:
    model = of(file, architecture, **own)
    assert windows(model) == expected
    assert model.windowed == any(expected)


def test_layers_may_share_the_cache_of_earlier_ones(file: Path) -> None:
    model = of(file, "gemma4", attention__shared_kv_layers=2, attention__head_count_kv=1)
    assert caches(model) == [1, 1, 0, 0]


def test_a_recurrent_model_has_states_and_no_cache(file: Path) -> None:
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 128, "ssm__state_size": 16, "ssm__group_count": 1}
    model = of(file, "mamba2", **ssm)
    assert states(model) == [True] * 4
    assert model.layers[0].state == 3 * (128 + 2 * 16) + 16 * 128
    assert caches(model) == [0] * 4
    assert model.cached


def test_rwkv_counts_its_shifts_and_its_heads(file: Path) -> None:
    model = of(file, "rwkv7", wkv__head_size=8, token_shift_count=2, attention__head_count=None)
    assert model.layers[0].state == 64 * (2 + 8)


@pytest.mark.parametrize(
    ("architecture", "own", "expected"),
    [
        ("jamba", {"attention__head_count_kv": [0, 2, 0, 0]}, [True, False, True, True]),
        ("qwen3next", {}, [True, True, True, False]),
        ("qwen3next", {"full_attention_interval": 2}, [True, False, True, False]),
        (
            "nemotron_h",
            {"attention__head_count_kv": [0, 2, 0, 0], "feed_forward_length": [0, 0, 9, 0]},
            [True, False, False, True],
        ),
        (
            "minimax-01",
            {"attention__recurrent_layers": [True, False, False, True]},
            [True, False, False, True],
        ),
    ],
)
def test_hybrids_have_a_state_or_a_cache_in_each_layer(
    file: Path, architecture: str, own: dict[str, Any], expected: list[bool]
) -> None:
    ssm = {"ssm__conv_kernel": 4, "ssm__inner_size": 128, "ssm__state_size": 16, "ssm__group_count": 1}
    model = of(file, architecture, **ssm, **own)
    assert states(model) == expected
    assert not any(layer.state and layer.kv_heads for layer in model.layers)


def test_some_hybrids_have_both_in_every_layer(file: Path) -> None:
    model = of(file, "falcon-h1", ssm__conv_kernel=4, ssm__inner_size=128, ssm__state_size=16)
    assert all(layer.state and layer.kv_heads for layer in model.layers)


@pytest.mark.parametrize("architecture", ["bert", "modern-bert", "nomic-bert", "gemma-embedding"])
def test_encoders_embed_and_cache_nothing(file: Path, architecture: str) -> None:
    model = of(file, architecture)
    assert model.embedding
    assert not model.cached


@pytest.mark.parametrize(
    ("pooling", "embedding", "rerank"),
    [(None, False, False), (0, False, False), (1, True, False), (3, True, False), (4, True, True)],
)
def test_pooling_makes_an_embedding_model(
    file: Path, pooling: int | None, embedding: bool, rerank: bool
) -> None:
    model = of(file, "qwen3", pooling_type=pooling)
    assert (model.embedding, model.rerank) == (embedding, rerank)
    assert model.cached


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"block_count": None}, r"'llama\.block_count' is missing"),
        ({"block_count": 0}, r"'llama\.block_count' is 0, which can't be right"),
        ({"block_count": 2**32 - 1}, r"'llama\.block_count' is 4294967295, which can't be right"),
        ({"embedding_length": None}, r"'llama\.embedding_length' is missing"),
        ({"attention__head_count": [1, 2]}, r"2 values for 4 layers"),
    ],
)
def test_numbers_that_cannot_be_right_are_named(file: Path, own: dict[str, Any], words: str) -> None:
    with pytest.raises(BadMetadata, match=words):
        of(file, "llama", **own)


def test_projectors_and_adapters_are_no_models(file: Path) -> None:
    for keys, projector, adapter in [
        ([key("general.architecture", STRING, "clip")], True, False),
        ([key("general.architecture", STRING, "x"), key("general.type", STRING, "mmproj")], True, False),
        ([key("general.architecture", STRING, "x"), key("x.vision.block_count", U32, 2)], True, False),
        ([key("general.architecture", STRING, "llama"), key("general.type", STRING, "adapter")], False, True),
        ([key("general.architecture", STRING, "llama")], False, False),
    ]:
        file.write_bytes(Raw(keys=keys).encode())
        assert is_projector(read(file)) == projector
        assert is_adapter(read(file)) == adapter


@pytest.mark.parametrize("make", [models.llama, models.gemma2, models.chatglm, models.glm4, models.bert])
def test_the_models_of_the_tests_have_the_shape_they_were_made_with(make: Any, file: Path) -> None:
    gguf = read(make(file, layers=3, width=192, heads=6, vocab=700))
    model = shape(gguf)
    assert model.architecture in KNOWN
    assert (len(model.layers), model.embedding_length, model.vocabulary) == (3, 192, 700)
    assert model.layers[0].heads == 6
    assert model.merges == (700 - 258 if make in (models.chatglm, models.glm4) else 0)
