"""The numbers of a model that decide how much memory it takes, read from its header.

They come from outside: whatever can't be right is an error that names the key, and nothing is allocated by them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tropa.gguf import architecture as known
from tropa.gguf.errors import BadMetadata
from tropa.gguf.header import GGUF
from tropa.gguf.metadata import Metadata
from tropa.gguf.value import Array

MOST_LAYERS = 4096


@dataclass(frozen=True, slots=True)
class LayerShape:
    """One block. `kv_heads` 0 means it keeps no cache of its own; `state` is its fixed memory in numbers (F32)."""

    heads: int
    kv_heads: int
    key_length: int
    value_length: int
    feed_forward: int
    window: int = 0
    """It attends to that many tokens back; 0 means to all."""
    state: int = 0

    @property
    def key_width(self) -> int:
        return self.kv_heads * self.key_length

    @property
    def value_width(self) -> int:
        return self.kv_heads * self.value_length


@dataclass(frozen=True, slots=True)
class ModelShape:
    """One model. Everything per token, per slot or per batch follows from here."""

    architecture: str
    layers: tuple[LayerShape, ...]
    embedding_length: int
    vocabulary: int
    merges: int
    trained_context: int
    """0 if the file does not say."""
    experts: int
    experts_used: int
    expert_feed_forward: int
    pooling: int | None
    """1 mean, 2 first, 3 last token, 4 rank; None or 0 for a model that only generates."""

    @property
    def embedding(self) -> bool:
        """An embedding or rerank model: its whole input must fit one batch."""
        return bool(self.pooling) or self.architecture in known.ENCODERS

    @property
    def rerank(self) -> bool:
        return self.pooling == 4

    @property
    def cached(self) -> bool:
        """It keeps something between tokens."""
        return any(layer.kv_heads or layer.state for layer in self.layers)

    @property
    def windowed(self) -> bool:
        return any(layer.window for layer in self.layers)

    @property
    def recurrent(self) -> bool:
        return any(layer.state for layer in self.layers)

    @property
    def most_slots(self) -> int:
        """0: no limit."""
        return 1 if self.architecture in known.ONE_SLOT else 0


def is_projector(gguf: GGUF) -> bool:
    """A vision or audio projector: it is loaded beside a model, never by itself."""
    kind = gguf.metadata.text("general.type")
    if kind in ("projector", "mmproj") or gguf.architecture == known.PROJECTOR:
        return True
    has_vision = gguf.own("vision.block_count") in gguf.metadata
    return has_vision and gguf.own("block_count") not in gguf.metadata


def is_adapter(gguf: GGUF) -> bool:
    return gguf.metadata.text("general.type") == "adapter"


def shape(gguf: GGUF) -> ModelShape:
    """Raises BadMetadata for a file that is no model, or whose numbers can't be right."""
    reader = _Reader(gguf)
    return ModelShape(
        architecture=gguf.architecture,
        layers=reader.layers(),
        embedding_length=reader.width,
        vocabulary=_vocabulary(gguf),
        merges=_length(gguf.metadata, "tokenizer.ggml.merges"),
        trained_context=reader.integer("context_length"),
        experts=reader.integer("expert_count"),
        experts_used=max(reader.each("expert_used_count")),
        expert_feed_forward=max(reader.each("expert_feed_forward_length")),
        pooling=reader.integer("pooling_type") if gguf.own("pooling_type") in gguf.metadata else None,
    )


class _Reader:
    """The architecture's own keys."""

    def __init__(self, gguf: GGUF) -> None:
        self._gguf = gguf
        self._metadata = gguf.metadata
        self.name = gguf.architecture
        self.count = self._needed("block_count", MOST_LAYERS)
        self.width = self._needed("embedding_length", 1 << 24)

    def integer(self, key: str, default: int = 0) -> int:
        return self._metadata.integer(self._gguf.own(key), default)

    def each(self, key: str, default: int = 0) -> tuple[int, ...]:
        return self._metadata.integers(self._gguf.own(key), self.count, default)

    def _needed(self, key: str, most: int) -> int:
        value = self.integer(key)
        if not 0 < value <= most:
            name = self._gguf.own(key)
            says = f"is {value}, which can't be right" if name in self._metadata else "is missing"
            raise BadMetadata(self._gguf.path, f"key {name!r} {says}")
        return value

    def layers(self) -> tuple[LayerShape, ...]:
        heads = self.each("attention.head_count")
        kv_heads = self._kv_heads(heads)
        forward = self.each("feed_forward_length")
        windows = self._windows()
        head = self.width // max(heads) if max(heads) else 0
        key, value = self.integer("attention.key_length", head), self.integer("attention.value_length", head)
        key_near = self.integer("attention.key_length_swa", key)
        value_near = self.integer("attention.value_length_swa", value)
        if self.integer("attention.key_length_mla"):
            value = value_near = 0  # the values are made from the cached keys
        states = self._states(heads, kv_heads)
        attends = self.name not in known.CACHELESS | known.RECURRENT
        own = self._own_cache()
        return tuple(
            LayerShape(
                heads=heads[i],
                kv_heads=kv_heads[i] if attends and i < own and (not states[i] or both) else 0,
                key_length=key_near if windows[i] else key,
                value_length=value_near if windows[i] else value,
                feed_forward=forward[i],
                window=windows[i],
                state=states[i],
            )
            for both in [self.name in known.BOTH]
            for i in range(self.count)
        )

    def _kv_heads(self, heads: tuple[int, ...]) -> tuple[int, ...]:
        if self._gguf.own("attention.head_count_kv") not in self._metadata:
            return heads
        return self.each("attention.head_count_kv")

    def _own_cache(self) -> int:
        """The layers from this one on share the cache of earlier ones."""
        shared = self.integer("attention.shared_kv_layers")
        return known.SHARED_CACHE_FROM.get(self.name, max(0, self.count - shared))

    def _windows(self) -> tuple[int, ...]:
        sliding = known.SLIDING.get(self.name)
        if sliding is None and self.name not in known.SLIDING_BY_FILE:
            return (0,) * self.count
        window = self.integer("attention.sliding_window", sliding.window if sliding else 0)
        if sliding and sliding.layers not in (0, self.count):
            window = 0
        pattern = self._metadata.get(self._gguf.own("attention.sliding_window_pattern"))
        if isinstance(pattern, Array):
            flags = self.each("attention.sliding_window_pattern")
            return tuple(window if flag else 0 for flag in flags)
        if sliding is None:
            return (0,) * self.count
        every = self.integer("attention.sliding_window_pattern", sliding.every)
        full = 0 if sliding.full_first else every - 1
        return tuple(window if every == 0 or i % every != full else 0 for i in range(self.count))

    def _states(self, heads: tuple[int, ...], kv_heads: tuple[int, ...]) -> tuple[int, ...]:
        size = self._state(max(heads))
        if not size:
            return (0,) * self.count
        if self.name in known.RECURRENT | known.BOTH:
            return (size,) * self.count
        if self._gguf.own("attention.recurrent_layers") in self._metadata:
            return tuple(size if flag else 0 for flag in self.each("attention.recurrent_layers"))
        if self.name in known.FULL_ATTENTION_EVERY:
            every = self.integer("full_attention_interval", known.FULL_ATTENTION_EVERY[self.name]) or 1
            return tuple(0 if (i + 1) % every == 0 else size for i in range(self.count))
        # Of the layers without attention, some families have plain feed-forward ones: these keep nothing.
        forward = (
            self.each("feed_forward_length") if self.name.startswith("nemotron_h") else (0,) * self.count
        )
        return tuple(size if not kv_heads[i] and not forward[i] else 0 for i in range(self.count))

    def _state(self, heads: int) -> int:
        """Numbers per layer and slot, as the engine counts them."""
        if head := self.integer("wkv.head_size"):
            return self.width * (self.integer("token_shift_count", 2) + head)
        if cache := self.integer("shortconv.l_cache"):
            return self.width * (cache - 1)
        kernel = self.integer("ssm.conv_kernel")
        if head := self.integer("kda.head_dim"):
            return heads * head * (3 * (kernel - 1 if kernel else 3) + head)
        inner, state = self.integer("ssm.inner_size"), self.integer("ssm.state_size")
        groups = self.integer("ssm.group_count")
        return max(0, kernel - 1) * (inner + 2 * groups * state) + state * inner


def _vocabulary(gguf: GGUF) -> int:
    return _length(gguf.metadata, "tokenizer.ggml.tokens") or gguf.metadata.integer(gguf.own("vocab_size"))


def _length(metadata: Metadata, key: str) -> int:
    value = metadata.get(key)
    return len(value) if isinstance(value, Array) else 0
