"""What Llama and its many relatives share: the same names, the same shapes, small differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from tropa.library.convert import rope
from tropa.library.convert.architecture import Architecture, Make, Wanted
from tropa.library.convert.config import Config
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.folder import Folder
from tropa.library.convert.tokenizer import read as tokenizer
from tropa.library.convert.tokenizer.vocabulary import Vocabulary
from tropa.library.convert.values import Value

OUTSIDE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
LAYER = "model.layers"
NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Within one layer, Hugging Face's names and the engine's."""


class Decoder(Architecture):
    """A decoder with rotary positions, RMS norms, grouped heads and a gated feed-forward."""

    names: ClassVar[Mapping[str, str]] = NAMES
    tied = False
    """Whether output and embedding are one where the config is silent."""
    theta = 10000.0
    activations: tuple[str, ...] = ("silu", "swish")

    def __init__(self, config: Config, folder: Folder) -> None:
        super().__init__(config, folder)
        self.layers = config.count("num_hidden_layers", "n_layers", "n_layer")
        self.width = config.count("hidden_size", "n_embd")
        self.heads = config.count("num_attention_heads", "n_head")
        self.groups = config.count("num_key_value_heads", default=self.heads)
        self.hidden = config.count("intermediate_size", "n_inner")
        self.vocab = config.count("vocab_size")
        self.context = config.count("max_position_embeddings", "n_ctx")
        self.rope = rope.read(config, theta=self.theta)
        if self.heads % self.groups:
            raise InvalidModelFolder(
                f"config.json: num_attention_heads ({self.heads}) is no multiple of "
                f"num_key_value_heads ({self.groups})"
            )
        if self.layers > 1 << 12:
            raise InvalidModelFolder(f"config.json: num_hidden_layers is {self.layers}, which no model has")
        if self.head % 2:
            raise InvalidModelFolder(f"config.json: heads of {self.head} numbers can't be rotated in pairs")
        self.only("hidden_act", *self.activations)

    @property
    def head(self) -> int:
        """Numbers in one head."""
        if "head_dim" not in self.config and self.width % self.heads:
            raise InvalidModelFolder(
                f"config.json: hidden_size ({self.width}) is no multiple of num_attention_heads ({self.heads})"
            )
        return self.config.count("head_dim", default=self.width // self.heads)

    def keys(self) -> Mapping[str, Value]:
        found: dict[str, Value] = {
            "vocab_size": self.vocab,
            "block_count": self.layers,
            "context_length": self.context,
            "embedding_length": self.width,
            "feed_forward_length": self.hidden,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.groups,
            "attention.layer_norm_rms_epsilon": self.config.number("rms_norm_eps", default=1e-6),
            "rope.dimension_count": self.head,
            **rope.keys(self.rope, self.context),
        }
        if "head_dim" in self.config:
            found |= {"attention.key_length": self.head, "attention.value_length": self.head}
        if self.rope.kind == "dynamic":
            self.warnings.append(
                f"rope scaling 'dynamic' is left out: right up to {self.context} tokens, not beyond"
            )
        return found

    def vocabulary(self) -> Vocabulary:
        return tokenizer.read(self.folder).of_size(self.vocab)

    def ignores(self, name: str) -> bool:
        return super().ignores(name) or (name == "lm_head.weight" and self.is_tied)

    @property
    def is_tied(self) -> bool:
        return self.config.flag("tie_word_embeddings", default=self.tied)

    def tensors(self, present: frozenset[str]) -> Iterator[Wanted]:
        yield self.plain("model.embed_tokens", "token_embd", (self.vocab, self.width))
        yield self.plain("model.norm", "output_norm", (self.width,))
        if not self.is_tied:
            silent = "tie_word_embeddings" not in self.config
            yield self.plain("lm_head", "output", (self.vocab, self.width), optional=silent)
        for i in range(self.layers):
            yield from self.layer(i)

    def layer(self, i: int) -> Iterator[Wanted]:
        """One layer."""
        yield from self.attention(i)
        yield from self.feed_forward(i)

    def attention(self, i: int) -> Iterator[Wanted]:
        queries, keys = self.heads * self.head, self.groups * self.head
        yield self.norm(i, "input_layernorm")
        yield from self.linear(i, "self_attn.q_proj", queries, self.width)
        yield from self.linear(i, "self_attn.k_proj", keys, self.width)
        yield from self.linear(i, "self_attn.v_proj", keys, self.width)
        yield from self.linear(i, "self_attn.o_proj", self.width, queries)

    def feed_forward(self, i: int) -> Iterator[Wanted]:
        yield self.norm(i, "post_attention_layernorm")
        yield from self.mlp(i)

    def mlp(self, i: int) -> Iterator[Wanted]:
        yield from self.linear(i, "mlp.gate_proj", self.hidden, self.width)
        yield from self.linear(i, "mlp.up_proj", self.hidden, self.width)
        yield from self.linear(i, "mlp.down_proj", self.width, self.hidden)

    def bias(self, name: str) -> bool | None:
        """Whether a matrix of a layer has a bias: yes, no, or as it comes (None)."""
        return False

    def moved(self, name: str) -> Make | None:
        """How the rows of a matrix of a layer, and its bias, are put into the engine's order."""
        return None

    def norm(self, i: int, name: str, width: int = 0) -> Wanted:
        """A norm of a layer."""
        target = f"blk.{i}.{self.names[name]}"
        return self.plain(f"{LAYER}.{i}.{name}", target, (width or self.width,))

    def linear(self, i: int, name: str, rows: int, columns: int) -> Iterator[Wanted]:
        """A matrix of a layer, and its bias if it has one."""
        source, target, make = f"{LAYER}.{i}.{name}", f"blk.{i}.{self.names[name]}", self.moved(name)
        yield Wanted(f"{target}.weight", (rows, columns), (f"{source}.weight",), make)
        bias = self.bias(name)
        if bias is not False:
            yield Wanted(f"{target}.bias", (rows,), (f"{source}.bias",), make, optional=bias is None)

    def plain(self, source: str, target: str, shape: tuple[int, ...], *, optional: bool = False) -> Wanted:
        """A weight that is written as it is."""
        return Wanted(f"{target}.weight", shape, (f"{source}.weight",), optional=optional)
