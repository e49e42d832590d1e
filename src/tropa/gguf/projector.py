"""A vision or audio projector beside a model: its weights, and the buffers in which it turns an image or a sound into
vectors.

For images an estimate: no projector with known weights can be had in tests, so only its parts are the engine's own
formulas. For sounds the buffer is compared with the engine's, in encoders of Whisper's form with random weights.
"""

from __future__ import annotations

from tropa.gguf.header import GGUF

LARGEST_SIDE = 2048
"""Pixels; models that take any size are planned for an image of this many patches at most."""

FRAMES = 3000
"""Of ten milliseconds: encoders hear in pieces of thirty seconds, and the engine plans for one of them."""

SOUND_IN_HAND = 64 << 20
"""Bytes for a sound on its way: the file as it came, its samples, its spectrum. Measured with WAV: 0.55 MB for each
second, so this is for two minutes."""

_MOST_WIDTH, _MOST_FORWARD, _MOST_MELS = 1 << 16, 1 << 18, 256


def projector_bytes(gguf: GGUF) -> int:
    """Weights and working memory of a projector file."""
    return gguf.tensor_bytes + _image_buffer(gguf) + sound_bytes(gguf)


def sound_bytes(gguf: GGUF) -> int:
    """Working memory for sounds; nothing where it has no ears."""
    if not gguf.metadata.flag("clip.has_audio_encoder"):
        return 0
    return sound_buffer(gguf) + SOUND_IN_HAND


def sound_buffer(gguf: GGUF) -> int:
    """The engine's buffer for one piece of sound: the spectrum and its first convolution, and the widest phase of a
    layer, feed-forward or attention, for every second frame."""
    metadata = gguf.metadata
    width = min(metadata.integer("clip.audio.embedding_length"), _MOST_WIDTH)
    forward = min(metadata.integer("clip.audio.feed_forward_length"), _MOST_FORWARD)
    mels = min(metadata.integer("clip.audio.num_mel_bins"), _MOST_MELS)
    return FRAMES // 2 * 4 * max(forward + 3 * width, 5 * width) + FRAMES * mels * 10


def _image_buffer(gguf: GGUF) -> int:
    metadata = gguf.metadata
    side = min(metadata.integer("clip.vision.image_size"), LARGEST_SIDE)
    patch = metadata.integer("clip.vision.patch_size") or 14
    width = min(metadata.integer("clip.vision.embedding_length"), _MOST_WIDTH)
    forward = min(metadata.integer("clip.vision.feed_forward_length"), _MOST_FORWARD)
    patches = (side // patch) ** 2
    return 4 * patches * (forward + 5 * width) + 2 * patches * patches
