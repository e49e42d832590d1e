"""Audio projectors as small as can be, with random weights: they make a model of `scripted`, or another of its width,
take sounds. And sounds for them."""

from __future__ import annotations

import io
import math
import wave
from array import array
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gguf

RATE = 16000
FRAME = 640
"""Samples that take one place in the context (40 ms), besides what is written round a sound."""
MELS = 80
WHISPER_FRAMES = 1500
"""Positions that thirty seconds take in an encoder of Whisper's form, before they are stacked."""


def ear(path: Path, text_width: int = 256) -> Path:
    """One matrix and no encoder, of Gemma 4's form: writes it and returns its path."""
    writer = _writer(
        path, "gemma4ua", text_width, width=FRAME, feed_forward=FRAME, layers=0, heads=1, mels=FRAME
    )
    writer.add_tensor("mm.a.input_projection.weight", _some(np.random.default_rng(1), text_width, FRAME))
    return _written(writer, path)


def whisper(
    path: Path,
    text_width: int = 256,
    *,
    width: int = 64,
    feed_forward: int = 128,
    layers: int = 1,
    heads: int = 2,
) -> Path:
    """An encoder of Whisper's form and Ultravox's way from there to the model."""
    random = np.random.default_rng(1)
    stack, between = 4, 2 * text_width  # with 8, and a width that is a power of two, the engine miscounts
    writer = _writer(path, "ultravox", text_width, width, feed_forward, layers, heads, MELS)
    writer.add_audio_stack_factor(stack)

    def matrix(name: str, *shape: int, bias: bool = True) -> None:
        writer.add_tensor(f"{name}.weight", _some(random, *shape))
        if bias:
            writer.add_tensor(f"{name}.bias", np.zeros(shape[0], np.float32))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(width, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(width, np.float32))

    for number, inputs in ((1, MELS), (2, width)):
        writer.add_tensor(f"a.conv1d.{number}.weight", _some(random, width, inputs, 3).astype(np.float16))
        writer.add_tensor(f"a.conv1d.{number}.bias", np.zeros((width, 1), np.float32))
    matrix("a.position_embd", WHISPER_FRAMES, width, bias=False)
    for layer in range(layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            matrix(f"a.blk.{layer}.{name}", width, width, bias=name != "attn_k")
        matrix(f"a.blk.{layer}.ffn_up", feed_forward, width)
        matrix(f"a.blk.{layer}.ffn_down", width, feed_forward)
        norm(f"a.blk.{layer}.ln1")
        norm(f"a.blk.{layer}.ln2")
    norm("a.post_ln")
    writer.add_tensor("mm.a.norm_pre.weight", np.ones(width * stack, np.float32))
    writer.add_tensor("mm.a.norm_mid.weight", np.ones(between // 2, np.float32))
    matrix("mm.a.mlp.1", between, width * stack, bias=False)
    matrix("mm.a.mlp.2", text_width, between // 2, bias=False)
    return _written(writer, path)


def tone(seconds: float = 0.4, pitch: float = 440.0) -> bytes:
    """A WAV of one note: one channel, 16 bits."""
    samples = array(
        "h", (int(9000 * math.sin(2 * math.pi * pitch * at / RATE)) for at in range(int(seconds * RATE)))
    )
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())
    return file.getvalue()


def _some(random: np.random.Generator, *shape: int) -> NDArray[Any]:
    return random.standard_normal(shape, np.float32) * np.float32(0.02)


def _writer(
    path: Path, kind: str, text_width: int, width: int, feed_forward: int, layers: int, heads: int, mels: int
) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_file_type(0)
    writer.add_clip_has_audio_encoder(True)
    writer.add_clip_projector_type(kind)
    writer.add_audio_projection_dim(text_width)
    writer.add_audio_embedding_length(width)
    writer.add_audio_feed_forward_length(feed_forward)
    writer.add_audio_block_count(layers)
    writer.add_audio_head_count(heads)
    writer.add_audio_attention_layernorm_eps(1e-5)
    writer.add_audio_num_mel_bins(mels)
    return writer


def _written(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
