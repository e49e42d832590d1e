"""A vision projector as small as can be, with random weights: it makes a model of `scripted`, or another of its width,
take images. And images for it."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gguf

SIDE, PATCH, MERGE, WIDTH, FEED_FORWARD = 32, 8, 4, 64, 64
IMAGE_TOKENS = (SIDE // PATCH // MERGE) ** 2
"""How many places in the context one image takes, besides what is written round it."""


def projector(path: Path, text_width: int = 256) -> Path:
    """Writes it and returns its path."""
    random = np.random.default_rng(1)

    def some(*shape: int) -> NDArray[Any]:
        return random.standard_normal(shape, np.float32) * np.float32(0.02)

    writer = gguf.GGUFWriter(path, "clip")
    writer.add_type("mmproj")
    writer.add_file_type(0)
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("gemma3")
    writer.add_vision_image_size(SIDE)
    writer.add_vision_patch_size(PATCH)
    writer.add_vision_projector_scale_factor(MERGE)
    writer.add_vision_embedding_length(WIDTH)
    writer.add_vision_feed_forward_length(FEED_FORWARD)
    writer.add_vision_projection_dim(text_width)
    writer.add_vision_block_count(1)
    writer.add_vision_head_count(2)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.5] * 3)
    writer.add_vision_image_std([0.5] * 3)
    writer.add_vision_use_gelu(True)
    writer.add_tensor("v.patch_embd.weight", some(WIDTH, 3, PATCH, PATCH))
    writer.add_tensor("v.patch_embd.bias", some(WIDTH))
    writer.add_tensor("v.position_embd.weight", some((SIDE // PATCH) ** 2, WIDTH))
    for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
        writer.add_tensor(f"v.blk.0.{name}.weight", some(WIDTH, WIDTH))
        writer.add_tensor(f"v.blk.0.{name}.bias", some(WIDTH))
    writer.add_tensor("v.blk.0.ffn_up.weight", some(FEED_FORWARD, WIDTH))
    writer.add_tensor("v.blk.0.ffn_up.bias", some(FEED_FORWARD))
    writer.add_tensor("v.blk.0.ffn_down.weight", some(WIDTH, FEED_FORWARD))
    writer.add_tensor("v.blk.0.ffn_down.bias", some(WIDTH))
    for name in ("v.blk.0.ln1", "v.blk.0.ln2", "v.post_ln"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
        writer.add_tensor(f"{name}.bias", np.zeros(WIDTH, np.float32))
    writer.add_tensor("mm.input_projection.weight", some(WIDTH, text_width))
    writer.add_tensor("mm.soft_emb_norm.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def picture(red: int = 200, green: int = 30, blue: int = 30) -> str:
    """A PNG of one colour, in base64."""
    rows = (b"\0" + bytes((red, green, blue)) * SIDE) * SIDE

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return base64.b64encode(png).decode()
