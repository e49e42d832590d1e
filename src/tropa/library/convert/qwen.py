"""Qwen 2, 2.5 and 3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tropa.library.convert.architecture import Wanted
from tropa.library.convert.decoder import Decoder
from tropa.library.convert.values import Value


class Qwen2(Decoder):
    """Biases on queries, keys and values."""

    gguf = "qwen2"

    def keys(self) -> Mapping[str, Value]:
        if self.config.flag("use_sliding_window"):
            self.warnings.append(
                "use_sliding_window is left out: the engine attends to the whole context in every layer"
            )
        return super().keys()

    def bias(self, name: str) -> bool | None:
        return name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


class Qwen3(Qwen2):
    """A norm on each head of queries and keys instead of biases."""

    gguf = "qwen3"

    def keys(self) -> Mapping[str, Value]:
        self.only("attention_bias", False)
        return {**super().keys(), "attention.key_length": self.head, "attention.value_length": self.head}

    @property
    def head(self) -> int:
        return self.config.count("head_dim", default=128)

    def bias(self, name: str) -> bool | None:
        return False

    def attention(self, i: int) -> Iterator[Wanted]:
        yield from super().attention(i)
        yield self.norm(i, "self_attn.q_norm", self.head)
        yield self.norm(i, "self_attn.k_norm", self.head)
