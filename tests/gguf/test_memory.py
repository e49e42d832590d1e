"""What is predicted is what the engine (llama.cpp b11549, in the pinned wheel) logs and what its process takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.gguf.engine import running
from tests.support import models
from tropa.gguf import read
from tropa.gguf.memory import (
    Load,
    cache_per_token,
    cells,
    checkpoint_bytes,
    output_bytes,
    padded,
    predict,
)
from tropa.gguf.shape import LayerShape, shape
from tropa.gguf.weights import prefers_copy, residence, weights

MIB = 1 << 20
SHAPE: dict[str, Any] = {
    "layers": 5,
    "width": 256,
    "heads": 8,
    "kv_heads": 4,
    "feed_forward": 768,
    "vocab": 2048,
}


def logged(log: str, kind: str) -> float:
    return MIB * sum(float(size) for size in re.findall(rf"{kind} buffer size\s*=\s*([\d.]+) MiB", log))


@pytest.mark.parametrize("make", [models.llama, models.mixtral, models.gemma2, models.chatglm, models.glm4])
@pytest.mark.parametrize(
    ("kind", "launch"),
    [
        ("F16", {}),
        ("Q8_0", {"slots": 3, "context": 3000}),
        ("Q4_0", {"batch": 1024}),
        ("Q4_K", {"mmap": False, "cache_type": "q8_0"}),
    ],
)
def test_buffers_are_those_that_the_engine_logs(
    make: Any, kind: str, launch: dict[str, Any], tmp_path: Path
) -> None:
    path = make(tmp_path / "m.gguf", type=kind, **SHAPE)
    told = {"context": 2048, "batch": 512} | launch
    predicted = predict(read(path), Load(**told))
    with running(path, **told) as engine:
        engine.ask(
            "/completion", {"prompt": [300 + i % 50 for i in range(told["batch"] - 8)], "n_predict": 2}
        )
        held = psutil.Process(engine.pid).memory_info().rss
        log = engine.log.read_text(errors="replace")
    close = pytest.approx  # the log has two digits of a MiB
    assert predicted.cache == close(logged(log, "KV"), abs=0.03 * MIB)
    assert predicted.weights.mapped + predicted.weights.own == close(logged(log, "model"), abs=0.05 * MIB)
    assert predicted.compute == close(logged(log, "compute"), rel=0.03)
    assert predicted.loaded == close(held, rel=0.1)


@pytest.mark.parametrize("launch", [{}, {"context": 1024, "batch": 1024}, {"slots": 4}])
def test_embedding_models_too(launch: dict[str, Any], tmp_path: Path) -> None:
    own = {name: value for name, value in SHAPE.items() if name != "kv_heads"} | {"context": 1024}
    path = models.bert(tmp_path / "m.gguf", **own)
    told = {"context": 512, "batch": 512} | launch
    predicted = predict(read(path), Load(**told))
    with running(path, embedding=True, **told) as engine:
        engine.ask("/embedding", {"content": [10] * (told["batch"] - 4)})
        held = psutil.Process(engine.pid).memory_info().rss
        log = engine.log.read_text(errors="replace")
    assert predicted.cache == logged(log, "KV") == 0
    assert predicted.compute == pytest.approx(logged(log, "compute"), rel=0.05)
    assert predicted.loaded == pytest.approx(held, rel=0.1)


def test_without_flash_attention_the_buffer_grows_with_batch_times_context(tmp_path: Path) -> None:
    path = models.llama(tmp_path / "m.gguf", **SHAPE)
    told: dict[str, Any] = {"context": 8192, "batch": 512, "flash_attention": False}
    predicted = predict(read(path), Load(**told))
    with running(path, **told) as engine:
        log = engine.log.read_text(errors="replace")
    assert predicted.compute == pytest.approx(logged(log, "compute"), rel=0.05)
    assert predicted.compute > 8 * predict(read(path), Load(8192)).compute


LAYER = LayerShape(heads=8, kv_heads=4, key_length=64, value_length=32, feed_forward=0)
NEAR = LayerShape(heads=8, kv_heads=4, key_length=64, value_length=32, feed_forward=0, window=1000)


def test_cells_are_rounded_up_as_the_engine_rounds() -> None:
    assert (padded(1), padded(256), padded(257)) == (256, 256, 512)
    assert cells(LAYER, 3000, 512) == 3072


def test_a_sliding_layer_keeps_its_window_and_a_batch_but_never_more_than_the_context() -> None:
    assert cells(NEAR, 8192, 512) == padded(1512)
    assert cells(NEAR, 1024, 512) == 1024


@pytest.mark.parametrize(
    ("kind", "size"),
    [("f16", 2 * 384), ("f32", 4 * 384), ("q8_0", 384 * 34 // 32), ("q4_0", 384 * 18 // 32)],
)
def test_the_cache_of_a_token_follows_the_type(kind: str, size: int) -> None:
    assert cache_per_token(LAYER, kind) == size


def test_a_checkpoint_holds_windows_and_states(tmp_path: Path) -> None:
    plain = shape(read(models.llama(tmp_path / "a.gguf", **SHAPE)))
    assert checkpoint_bytes(plain, Load(2048)) == 0
    sliding = shape(read(models.gemma2(tmp_path / "b.gguf", **SHAPE)))
    near = sum(cache_per_token(layer, "f16") for layer in sliding.layers if layer.window)
    assert checkpoint_bytes(sliding, Load(2048)) == 512 * near
    assert checkpoint_bytes(sliding, Load(300)) == 300 * near


def test_what_may_grow_is_counted_apart(tmp_path: Path) -> None:
    gguf = read(models.gemma2(tmp_path / "m.gguf", **SHAPE))
    plain = predict(gguf, Load(2048, slots=2))
    grown = predict(gguf, Load(2048, slots=2, prompt_cache=5 * MIB, checkpoints=3))
    assert grown.loaded == plain.loaded == plain.most
    assert grown.growth == 5 * MIB + 6 * checkpoint_bytes(shape(gguf), Load(2048))
    assert grown.most == grown.loaded + grown.growth


def test_an_embedding_model_keeps_a_row_of_logits_for_every_token(tmp_path: Path) -> None:
    model = shape(read(models.bert(tmp_path / "m.gguf", vocab=5000, width=128)))
    assert output_bytes(model, 1, 512) == 4 * 512 * (5000 + 128)
    chat = shape(read(models.llama(tmp_path / "c.gguf", vocab=5000)))
    assert output_bytes(chat, 3, 512) == 4 * 3 * 5000


@pytest.mark.parametrize("make", [models.llama, models.gemma2, models.chatglm, models.glm4, models.bert])
def test_every_byte_of_the_weights_is_somewhere(make: Any, tmp_path: Path) -> None:
    gguf = read(make(tmp_path / "m.gguf", layers=3))
    parts = weights(gguf, 3)
    assert parts.total == gguf.tensor_bytes
    assert len(set(parts.layers)) == 1
    head = next(t.nbytes for t in gguf.tensors if t.name == "token_embd.weight")
    assert parts.tied_head == (head if make is models.gemma2 else 0)
    assert residence(gguf, mmap=False, machine="none").own == gguf.tensor_bytes


def test_rearranged_weights_are_a_second_copy_of_a_mapped_file(tmp_path: Path) -> None:
    gguf = read(models.llama(tmp_path / "m.gguf", type="Q4_0"))
    plain = residence(gguf, mmap=True, machine="none")
    assert plain.own == 0
    assert plain.mapped >= gguf.tensor_bytes
    twice = residence(gguf, mmap=True, machine="x86_64")
    assert plain.mapped // 2 < twice.mapped <= plain.mapped
    assert twice.own > gguf.tensor_bytes // 2
    once = residence(gguf, mmap=False, machine="x86_64")
    assert once.mapped == 0
    assert once.own == gguf.tensor_bytes


def test_a_tied_head_is_rearranged_beside_the_embeddings(tmp_path: Path) -> None:
    gguf = read(models.gemma2(tmp_path / "m.gguf", type="Q4_0"))
    head = next(t.nbytes for t in gguf.tensors if t.name == "token_embd.weight")
    assert residence(gguf, mmap=False, machine="x86_64").own == gguf.tensor_bytes + head


@pytest.mark.parametrize(
    ("kind", "expected"), [("F16", False), ("Q8_0", False), ("Q4_0", True), ("Q4_K", True)]
)
def test_a_file_is_mapped_unless_most_of_it_would_be_held_twice(
    kind: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    gguf = read(models.llama(tmp_path / "m.gguf", type=kind, width=256))
    assert prefers_copy(gguf) == expected
