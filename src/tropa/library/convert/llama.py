"""Llama, and Mistral and Mixtral, which the engine runs as Llamas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from tropa.library.convert import rope
from tropa.library.convert.architecture import Arrays, Make, Wanted
from tropa.library.convert.decoder import LAYER, Decoder
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.values import Value


class Llama(Decoder):
    """Queries and keys are kept in the order of Meta's own code: neighbours are rotated together, not halves."""

    gguf = "llama"

    def bias(self, name: str) -> bool | None:
        flag = "attention_bias" if name.startswith("self_attn") else "mlp_bias"
        return True if self.config.flag(flag) else None

    def moved(self, name: str) -> Make | None:
        heads = {"self_attn.q_proj": self.heads, "self_attn.k_proj": self.groups}.get(name)
        return None if heads is None else partial(_interleaved, heads)

    def tensors(self, present: frozenset[str]) -> Iterator[Wanted]:
        yield from super().tensors(present)
        if self.rope.kind == "llama3":
            factors = rope.llama3(self.rope, self.head)
            yield Wanted("rope_freqs.weight", factors.shape, make=lambda _: factors)


class Mistral(Llama):
    """A sliding window is a key that the engine does not look at: within the window nothing differs."""

    def keys(self) -> Mapping[str, Value]:
        found = dict(super().keys())
        if "sliding_window" in self.config:
            window = self.config.count("sliding_window")
            found["attention.sliding_window"] = window
            if window < self.context:
                self.warnings.append(
                    f"the engine attends to the whole context, not only to the last {window} tokens: "
                    "longer texts may read differently than in the original"
                )
        return found


class Mixtral(Mistral):
    """A Llama whose feed-forward is a choice of experts. They are stacked in the order of their numbers."""

    @property
    def experts(self) -> int:
        found = self.config.count("num_local_experts", default=8)
        if found > 1 << 12:
            raise InvalidModelFolder(f"config.json: num_local_experts is {found}, which no model has")
        return found

    def keys(self) -> Mapping[str, Value]:
        used = self.config.count("num_experts_per_tok", default=2)
        if used > self.experts:
            raise InvalidModelFolder(
                f"config.json: num_experts_per_tok ({used}) is more than num_local_experts ({self.experts})"
            )
        return {**super().keys(), "expert_count": self.experts, "expert_used_count": used}

    def feed_forward(self, i: int) -> Iterator[Wanted]:
        moe = f"{LAYER}.{i}.block_sparse_moe"
        yield self.norm(i, "post_attention_layernorm")
        gate = (self.experts, self.width)
        yield Wanted(f"blk.{i}.ffn_gate_inp.weight", gate, (f"{moe}.gate.weight",), full=True)
        up, down = (self.hidden, self.width), (self.width, self.hidden)
        for short, name, shape in (("w1", "gate", up), ("w2", "down", down), ("w3", "up", up)):
            sources = tuple(f"{moe}.experts.{n}.{short}.weight" for n in range(self.experts))
            stacked = (self.experts, *shape)
            yield Wanted(f"blk.{i}.ffn_{name}_exps.weight", stacked, sources, source_shape=shape)


def _interleaved(heads: int, arrays: Arrays) -> np.ndarray:
    return rope.interleaved(arrays[0], heads)
