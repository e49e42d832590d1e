"""GLM-4-9b-chat and CodeGeeX4 in the layout they were published in: names, config and tokenizer of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tropa.library.convert.architecture import Architecture, Wanted
from tropa.library.convert.config import Config
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.folder import Folder
from tropa.library.convert.glm import PRE, ROLES, cut, with_roles
from tropa.library.convert.tokenizer import read as tokenizer
from tropa.library.convert.tokenizer import tiktoken
from tropa.library.convert.tokenizer.vocabulary import Vocabulary
from tropa.library.convert.values import Value

OLDER = "ChatGLM3 and older models, whose tokenizer is SentencePiece's, can't be imported"


class ChatGLM(Architecture):
    """Queries, keys and values are one matrix, gate and up another; the engine takes both as they are."""

    gguf = "chatglm"
    prefixes = ("transformer.",)

    def __init__(self, config: Config, folder: Folder) -> None:
        super().__init__(config, folder)
        self.layers = config.count("num_layers", "num_hidden_layers")
        self.width = config.count("hidden_size")
        self.heads = config.count("num_attention_heads")
        self.hidden = config.count("ffn_hidden_size")
        self.vocab = config.count("padded_vocab_size", "vocab_size")
        grouped = config.flag("multi_query_attention")
        self.groups = config.count("multi_query_group_num", default=self.heads) if grouped else self.heads
        self.head = config.count("kv_channels", default=self.width // self.heads)
        if self.heads * self.head != self.width or self.heads % self.groups:
            raise InvalidModelFolder(
                f"config.json: {self.heads} heads of {self.head} in {self.groups} groups don't fit "
                f"hidden_size ({self.width})"
            )
        if self.layers > 1 << 12:
            raise InvalidModelFolder(f"config.json: num_layers is {self.layers}, which no model has")
        self.only("rmsnorm", True)
        self.only("add_bias_linear", False)
        self.only("apply_residual_connection_post_layernorm", False)
        self.only("post_layer_norm", True)
        self.only("original_rope", True)
        self.only("interleaved_qkv", False)
        self.only("tie_word_embeddings", False)
        if "vision_config" in config:
            self.warnings.append("its eyes are left out: only the language model is imported")

    def keys(self) -> Mapping[str, Value]:
        return {
            "vocab_size": self.vocab,
            "block_count": self.layers,
            "context_length": self.config.count("seq_length"),
            "embedding_length": self.width,
            "feed_forward_length": self.hidden,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.groups,
            "attention.layer_norm_rms_epsilon": self.config.number("layernorm_epsilon", default=1e-5),
            "rope.dimension_count": self.config.count("attention_dim", default=self.head) // 2,
            "rope.freq_base": 10000.0 * self.config.number("rope_ratio", default=1.0),
        }

    def vocabulary(self) -> Vocabulary:
        if "tokenizer.json" in self.folder and tiktoken.FILE not in self.folder:
            found = cut(self.folder, tokenizer.read(self.folder))
        elif tiktoken.FILE not in self.folder:
            raise InvalidModelFolder(f"unknown tokenizer format: {tiktoken.FILE} is not among the files")
        elif not tiktoken.is_one(self.folder.bytes(tiktoken.FILE)):
            raise InvalidModelFolder(f"{tiktoken.FILE} is not of tiktoken's kind: {OLDER}")
        else:
            found = tokenizer.surrounded(self.folder, tiktoken.read(self.folder, PRE))
        return with_roles(found, ROLES).of_size(self.vocab)

    def ignores(self, name: str) -> bool:
        return super().ignores(name) or name.endswith("rotary_pos_emb.inv_freq") or name.startswith("vision.")

    def tensors(self, present: frozenset[str]) -> Iterator[Wanted]:
        yield self._plain("embedding.word_embeddings", "token_embd", self.vocab, self.width)
        yield self._plain("encoder.final_layernorm", "output_norm", self.width)
        yield self._plain("output_layer", "output", self.vocab, self.width)
        fused = (self.heads + 2 * self.groups) * self.head
        for i in range(self.layers):
            at, to = f"encoder.layers.{i}", f"blk.{i}"
            yield self._plain(f"{at}.input_layernorm", f"{to}.attn_norm", self.width)
            qkv = f"{at}.self_attention.query_key_value"
            yield self._plain(qkv, f"{to}.attn_qkv", fused, self.width)
            if self.config.flag("add_qkv_bias"):
                yield Wanted(f"{to}.attn_qkv.bias", (fused,), (f"{qkv}.bias",))
            yield self._plain(f"{at}.self_attention.dense", f"{to}.attn_output", self.width, self.width)
            yield self._plain(f"{at}.post_attention_layernorm", f"{to}.ffn_norm", self.width)
            yield self._plain(f"{at}.mlp.dense_h_to_4h", f"{to}.ffn_up", 2 * self.hidden, self.width)
            yield self._plain(f"{at}.mlp.dense_4h_to_h", f"{to}.ffn_down", self.width, self.hidden)

    def _plain(self, source: str, target: str, *shape: int) -> Wanted:
        return Wanted(f"{target}.weight", shape, (f"{source}.weight",))
