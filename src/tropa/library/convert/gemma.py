"""Gemma and Gemma 2. Their norms are stored less one; the engine wants them whole."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np

from tropa.library.convert.architecture import Arrays, Wanted
from tropa.library.convert.config import Config
from tropa.library.convert.decoder import NAMES, Decoder
from tropa.library.convert.folder import Folder
from tropa.library.convert.tokenizer.vocabulary import Vocabulary
from tropa.library.convert.values import Value

ROLES = {
    "eot": "<end_of_turn>",
    "middle": "<|fim_middle|>",
    "prefix": "<|fim_prefix|>",
    "suffix": "<|fim_suffix|>",
}
"""Tokens with a key of their own."""


class Gemma(Decoder):
    """Embedding and output are always one matrix."""

    gguf = "gemma"
    tied = True
    activations = ("gelu", "gelu_pytorch_tanh", "gelu_new")

    def __init__(self, config: Config, folder: Folder) -> None:
        super().__init__(config, folder)
        self.only("tie_word_embeddings", True)
        self.only("hidden_activation", "gelu_pytorch_tanh", "gelu_new")
        self.only("attention_bias", False)
        self.only("use_bidirectional_attention", False)

    @property
    def head(self) -> int:
        return self.config.count("head_dim", default=256)

    def keys(self) -> Mapping[str, Value]:
        return {**super().keys(), "attention.key_length": self.head, "attention.value_length": self.head}

    def vocabulary(self) -> Vocabulary:
        found = super().vocabulary()
        ids = {f"tokenizer.ggml.{role}_token_id": text for role, text in ROLES.items()}
        known = {key: found.tokens.index(text) for key, text in ids.items() if text in found.tokens}
        return replace(found, extra={**known, **found.extra})

    def norm(self, i: int, name: str, width: int = 0) -> Wanted:
        return replace(super().norm(i, name, width), make=_plus_one)

    def tensors(self, present: frozenset[str]) -> Iterator[Wanted]:
        for wanted in super().tensors(present):
            yield replace(wanted, make=_plus_one) if wanted.name == "output_norm.weight" else wanted


class Gemma2(Gemma):
    """Norms after attention and feed-forward too, caps on logits, a window in every other layer."""

    gguf = "gemma2"
    names: ClassVar[Mapping[str, str]] = {
        **NAMES,
        "post_attention_layernorm": "post_attention_norm",
        "pre_feedforward_layernorm": "ffn_norm",
        "post_feedforward_layernorm": "post_ffw_norm",
    }

    def keys(self) -> Mapping[str, Value]:
        scalar = self.config.number("query_pre_attn_scalar", default=256)
        engine = self.width // self.heads if self.layers == LARGE else self.head
        if not math.isclose(scalar, engine):
            raise self.config.wrong("query_pre_attn_scalar", scalar, f"{engine}, as the engine takes it")
        return {
            **super().keys(),
            "attention.sliding_window": self.config.count("sliding_window", default=4096),
            "attn_logit_softcapping": self.config.number("attn_logit_softcapping", default=50.0),
            "final_logit_softcapping": self.config.number("final_logit_softcapping", default=30.0),
        }

    def attention(self, i: int) -> Iterator[Wanted]:
        yield from super().attention(i)
        yield self.norm(i, "post_attention_layernorm")

    def feed_forward(self, i: int) -> Iterator[Wanted]:
        yield self.norm(i, "pre_feedforward_layernorm")
        yield self.norm(i, "post_feedforward_layernorm")
        yield from self.mlp(i)


LARGE = 46
"""The engine takes a model with so many layers for Gemma 2 27B, which scales its attention otherwise."""


def _plus_one(arrays: Arrays) -> np.ndarray:
    found: np.ndarray = arrays[0] + np.float32(1)
    return found
