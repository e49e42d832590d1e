"""What we refuse at create is what the pinned engine refuses at load: asked of the engine itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gguf.engine import running
from tests.support import models
from tropa.gguf import GGUF, Tensor, read
from tropa.gguf import rewrite as new
from tropa.library.architectures import SUPPORTED
from tropa.library.errors import UnsupportedArchitecture
from tropa.library.fitness import check


def rewritten(path: Path, *, without: str = "", more: tuple[str, ...] = ()) -> Path:
    """The model at `path` without a key, or with tensors that do not belong there."""
    gguf = read(path)
    like = gguf.tensors[-1]
    added = [Tensor(name, like.dims, like.type, 0) for name in more]
    tensors = new.placed((*gguf.tensors, *added), 32)
    metadata = [key for key in new.keys(gguf) if key.name != without]
    data = b"".join(_data(gguf, tensor) for tensor in (*gguf.tensors, *[like] * len(more)))
    path.write_bytes(new.header(metadata, tensors, 32) + data)
    return path


def _data(gguf: GGUF, tensor: Tensor) -> bytes:
    start = gguf.data_offset + tensor.offset
    data = gguf.path.read_bytes()[start : start + tensor.nbytes]
    return data + bytes(-len(data) % 32)


@pytest.fixture
def gemma(tmp_path: Path) -> Path:
    return models.gemma2(tmp_path / "m.gguf", width=64, layers=1, vocab=400)


def test_a_sound_model_is_taken_by_both(gemma: Path) -> None:
    rewritten(gemma)
    check("m.gguf", read(gemma), SUPPORTED)
    with running(gemma, context=64) as engine:
        assert engine.ask("/health") == {"status": "ok"}


@pytest.mark.parametrize(
    "key",
    [
        "gemma2.context_length",
        "gemma2.embedding_length",
        "gemma2.block_count",
        "gemma2.attention.layer_norm_rms_epsilon",
        "tokenizer.ggml.model",
    ],
)
def test_a_key_that_we_ask_for_the_engine_cannot_do_without(gemma: Path, key: str) -> None:
    rewritten(gemma, without=key)
    with pytest.raises(UnsupportedArchitecture, match=key):
        check("m.gguf", read(gemma), SUPPORTED)
    with (
        pytest.raises(AssertionError, match=r"key not found in model|failed to load"),
        running(gemma, context=64),
    ):
        pass


@pytest.mark.parametrize("name", ["v.blk.0.attn_q.weight", "mm.input_projection.weight", "a.conv1d.weight"])
def test_a_vision_part_that_we_refuse_the_engine_refuses(gemma: Path, name: str) -> None:
    rewritten(gemma, more=(name,))
    with pytest.raises(UnsupportedArchitecture, match="inside the language model"):
        check("m.gguf", read(gemma), SUPPORTED)
    with pytest.raises(AssertionError, match="wrong number of tensors"), running(gemma, context=64):
        pass


@pytest.mark.parametrize("context", [1 << 31, (1 << 32) - 1])
def test_a_context_that_the_engine_takes_for_a_negative_number_is_refused(
    tmp_path: Path, context: int
) -> None:
    path = models.llama(tmp_path / "m.gguf", width=64, layers=1, vocab=400, context=context)
    with pytest.raises(UnsupportedArchitecture, match=f"trained with {context} tokens"):
        check("m.gguf", read(path), SUPPORTED)
