"""Phi-3, 3.5 and 4: queries, keys and values in one matrix, gate and up in another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import ClassVar

import numpy as np

from tropa.library.convert.architecture import Arrays, Wanted
from tropa.library.convert.decoder import NAMES, Decoder
from tropa.library.convert.values import Value


class Phi3(Decoder):
    """Long contexts have two lists of factors for the rotation; the engine picks one by the context it is given."""

    gguf = "phi3"
    names: ClassVar[Mapping[str, str]] = {
        **NAMES,
        "self_attn.qkv_proj": "attn_qkv",
        "mlp.gate_up_proj": "ffn_up",
    }

    @property
    def rotated(self) -> int:
        """Numbers of each head that are rotated."""
        return int(self.rope.partial * self.head)

    def keys(self) -> Mapping[str, Value]:
        self.only("attention_bias", False)
        original = self.original
        found = {
            **super().keys(),
            "rope.dimension_count": self.rotated,
            "rope.scaling.original_context_length": original,
        }
        if "sliding_window" in self.config and (window := self.config.count("sliding_window")) < self.context:
            found["attention.sliding_window"] = window
            self.warnings.append(
                f"the engine attends to the whole context, not only to the last {window} tokens"
            )
        if self.rope.kind == "longrope":
            scale = self.context / original
            wanted = 1.0 if scale <= 1 else math.sqrt(1 + math.log(scale) / math.log(original))
            found["rope.scaling.attn_factor"] = self.rope.scaling.number("attention_factor", default=wanted)
        return found

    @property
    def original(self) -> int:
        """Tokens of context before it was stretched."""
        scaling = self.rope.scaling
        there = scaling if "original_max_position_embeddings" in scaling else self.config
        return there.count("original_max_position_embeddings", default=self.context, least=2)

    def attention(self, i: int) -> Iterator[Wanted]:
        queries = self.heads * self.head
        yield self.norm(i, "input_layernorm")
        yield from self.linear(i, "self_attn.qkv_proj", queries + 2 * self.groups * self.head, self.width)
        yield from self.linear(i, "self_attn.o_proj", self.width, queries)

    def feed_forward(self, i: int) -> Iterator[Wanted]:
        yield self.norm(i, "post_attention_layernorm")
        yield from self.linear(i, "mlp.gate_up_proj", 2 * self.hidden, self.width)
        yield from self.linear(i, "mlp.down_proj", self.width, self.hidden)

    def tensors(self, present: frozenset[str]) -> Iterator[Wanted]:
        yield from super().tensors(present)
        if self.rope.kind == "longrope":
            for name in ("long", "short"):
                factors = np.array(self.rope.scaling.numbers(f"{name}_factor", self.rotated // 2), np.float32)
                yield Wanted(f"rope_factors_{name}.weight", factors.shape, make=partial(_given, factors))


def _given(factors: np.ndarray, _: Arrays) -> np.ndarray:
    return factors
