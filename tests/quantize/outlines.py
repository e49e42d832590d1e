"""Models of every size that the rules speak of, without their weights: a header, and a file with a hole in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.gguf.raw import F32, STRING, U32, key
from tropa.gguf import Tensor
from tropa.gguf import rewrite as new
from tropa.gguf.tensor import TYPES

F16 = TYPES[1]
RARE = (
    "ssm_conv1d.weight",
    "attn_kv_b.weight",
    "ffn_down_shexp.weight",
    "attn_rel_b.weight",
    "something.weight",
)


@dataclass(frozen=True)
class Outline:
    """`row` is the width of every matrix; `fused` says that query, key and value are one."""

    architecture: str
    layers: int
    heads: int
    groups: int
    experts: int = 0
    fused: bool = False
    tied: bool = False
    row: int = 256
    more: tuple[str, ...] = ()

    def write(self, path: Path) -> Path:
        tensors = new.placed((Tensor(name, dims, F16, 0) for name, dims in self._tensors()), 32)
        head = new.header(list(self._keys()), tensors, 32)
        path.write_bytes(head)
        os.truncate(path, len(head) + tensors[-1].offset + tensors[-1].nbytes)
        return path

    def _keys(self) -> Iterator[new.Key]:
        yield new.Key("general.architecture", key("general.architecture", STRING, self.architecture))
        numbers = {
            "context_length": 64, "embedding_length": self.row, "block_count": self.layers, "vocab_size": 8,
            "feed_forward_length": self.row, "attention.head_count": self.heads,
            "attention.head_count_kv": self.groups,
        }  # fmt: skip
        if self.experts:
            numbers |= {"expert_count": self.experts, "expert_used_count": 2}
        for name, number in numbers.items():
            full = f"{self.architecture}.{name}"
            yield new.Key(full, key(full, U32, number))
        for name in ("layer_norm_rms_epsilon", "layer_norm_epsilon"):
            full = f"{self.architecture}.attention.{name}"
            yield new.Key(full, key(full, F32, 1e-5))

    def _tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        flat = (self.row, 8)
        yield "token_embd.weight", flat
        if not self.tied:
            yield "output.weight", flat
        for i in range(self.layers):
            attention = ("attn_qkv",) if self.fused else ("attn_q", "attn_k", "attn_v")
            for name in (*attention, "attn_output"):
                yield f"blk.{i}.{name}.weight", flat
            if self.experts:
                yield f"blk.{i}.ffn_gate_inp.weight", flat
            for name in ("ffn_up", "ffn_gate", "ffn_down"):
                yield (
                    f"blk.{i}.{name}{'_exps' if self.experts else ''}.weight",
                    (self.row, 4, self.experts) if self.experts else flat,
                )
            for name in self.more:
                yield f"blk.{i}.{name}", flat


OUTLINES = {
    "llama 8B": Outline("llama", 32, 32, 8),
    "llama 7B, no sharing": Outline("llama", 32, 32, 32),
    "llama 65B": Outline("llama", 80, 64, 64),
    "llama 70B": Outline("llama", 80, 64, 8),
    "qwen2 72B": Outline("qwen2", 80, 64, 8),
    "mixtral 8x7B": Outline("llama", 32, 32, 8, experts=8),
    "four experts": Outline("llama", 24, 32, 8, experts=4),
    "sixty experts": Outline("qwen2moe", 25, 16, 16, experts=60),
    "falcon": Outline("falcon", 60, 64, 8, fused=True),
    "falcon, tied": Outline("falcon", 33, 4, 4, fused=True, tied=True),
    "tied": Outline("gemma2", 26, 8, 4, tied=True),
    "rare tensors": Outline("llama", 17, 32, 8, more=RARE),
    "rows of 128": Outline("llama", 9, 32, 8, row=128),
    "rows of 64": Outline("llama", 9, 32, 8, row=64, tied=True),
    "rows of 40": Outline("llama", 9, 32, 8, row=40, tied=True),
}
