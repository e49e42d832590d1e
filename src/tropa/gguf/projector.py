"""A vision or audio projector beside a model: its weights, and the buffer in which it turns an image into vectors.

An estimate: no projector with known weights can be had in tests, so only its parts are the engine's own formulas.
"""

from __future__ import annotations

from tropa.gguf.header import GGUF

LARGEST_SIDE = 2048
"""Pixels; models that take any size are planned for an image of this many patches at most."""


def projector_bytes(gguf: GGUF) -> int:
    """Weights and working memory of a projector file."""
    return gguf.tensor_bytes + _image_buffer(gguf)


def _image_buffer(gguf: GGUF) -> int:
    metadata = gguf.metadata
    side = min(metadata.integer("clip.vision.image_size"), LARGEST_SIDE)
    patch = metadata.integer("clip.vision.patch_size") or 14
    width = min(metadata.integer("clip.vision.embedding_length"), 1 << 16)
    forward = min(metadata.integer("clip.vision.feed_forward_length"), 1 << 18)
    patches = (side // patch) ** 2
    return 4 * patches * (forward + 5 * width) + 2 * patches * patches
