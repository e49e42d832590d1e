"""The models of the goldens: for each, its `config.json` and its tensors, as its makers' programs write them.

They are as small as a model can be that still has every part of its family: grouped heads, biases, windows, norms
that are no ones. Each is sharp enough (queries, keys and output are large) for a wrong transform to change the
answer, and its seed was chosen so that no greedy choice is a close one (`python -m tests.goldens.make --search`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

WIDTH, LAYERS, HEADS, GROUPS, HIDDEN = 64, 2, 4, 2, 128
CONTEXT = 512
NORM, SHIFTED_NORM, LOUD_NORM = "norm", "shifted norm", "loud norm"
"""Weights around 1; around 0, since Gemma adds the 1 itself; and around 6, for layers that have to outshout Gemma's
embeddings, which are tied to the output and would answer with themselves for ever."""

VOCABULARY = {
    "llama3": 1006,
    "qwen2": 1003,
    "gpt2": 1001,
    "glm": 1010,
    "chatglm": 1010,
    "spm": 1256,
    "gemma": 1370,
}
VOCABULARY["wordpiece"] = 886


@dataclass(frozen=True)
class Tensor:
    """`make` is one of the norms, or the standard deviation."""

    name: str
    shape: tuple[int, ...]
    make: str | float


@dataclass(frozen=True)
class Spec:
    """One model. `tokenizer` is a folder of tests/goldens/tokenizers; `extra` are more JSON files by their path."""

    name: str
    config: dict[str, Any]
    tensors: tuple[Tensor, ...]
    tokenizer: str
    seed: int
    dtype: str = "F16"
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def architecture(self) -> str:
        return str(self.config["architectures"][0])

    @property
    def vocabulary(self) -> int:
        return int(self.config.get("padded_vocab_size") or self.config["vocab_size"])


def _config(architecture: str, model_type: str, tokenizer: str, **more: Any) -> dict[str, Any]:
    usual = {
        "architectures": [architecture],
        "model_type": model_type,
        "vocab_size": VOCABULARY[tokenizer],
        "hidden_size": WIDTH,
        "intermediate_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": GROUPS,
        "hidden_act": "silu",
        "max_position_embeddings": CONTEXT,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "attention_dropout": 0.0,
        "use_cache": True,
    }
    return usual | more


def _decoder(
    config: dict[str, Any], *, biases: str = "", extra_norms: tuple[str, ...] = (), norm: str = NORM
) -> tuple[Tensor, ...]:
    """The common layout: `model.layers.N.self_attn…`. `biases` names the projections that have one: "qkvo"."""
    return tuple(_layout(config, biases, extra_norms, norm))


def _layout(config: dict[str, Any], biases: str, extra_norms: tuple[str, ...], norm: str) -> Iterator[Tensor]:
    tied = config["tie_word_embeddings"]
    head = config.get("head_dim") or WIDTH // HEADS
    vocabulary = config["vocab_size"]
    loud = 3 / math.sqrt(WIDTH)  # logits spread by about 3
    yield Tensor("model.embed_tokens.weight", (vocabulary, WIDTH), loud if tied else 1.0)
    fused = config["model_type"] in ("phi3", "glm", "glm4")
    for n in range(config["num_hidden_layers"]):
        at = f"model.layers.{n}"
        attention = f"{at}.self_attn"
        sizes = {"q": head * HEADS, "k": head * GROUPS, "v": head * GROUPS}
        if config["model_type"] == "phi3":
            yield _matrix(f"{attention}.qkv_proj", sum(sizes.values()), WIDTH, 1.5)
        else:
            for part, size in sizes.items():
                yield _matrix(f"{attention}.{part}_proj", size, WIDTH, 1.5)
        loud_layers = 16.0 if config["model_type"] == "gemma" else 1.5
        yield _matrix(f"{attention}.o_proj", WIDTH, head * HEADS, loud_layers)
        for part in biases:
            size = WIDTH if part == "o" else sizes[part]
            yield Tensor(f"{attention}.{part}_proj.bias", (size,), 0.5)
        if config["model_type"] == "qwen3":
            yield Tensor(f"{attention}.q_norm.weight", (head,), norm)
            yield Tensor(f"{attention}.k_norm.weight", (head,), norm)
        if fused:
            yield _matrix(f"{at}.mlp.gate_up_proj", 2 * HIDDEN, WIDTH, 1.5)
        else:
            yield _matrix(f"{at}.mlp.gate_proj", HIDDEN, WIDTH, 1.5)
            yield _matrix(f"{at}.mlp.up_proj", HIDDEN, WIDTH, 1.5)
        yield _matrix(f"{at}.mlp.down_proj", WIDTH, HIDDEN, loud_layers)
        for name in ("input_layernorm", "post_attention_layernorm", *extra_norms):
            after = name.startswith("post_") and config["model_type"] == "gemma2"
            yield Tensor(f"{at}.{name}.weight", (WIDTH,), LOUD_NORM if after else norm)
    yield Tensor("model.norm.weight", (WIDTH,), norm)
    if not tied:
        yield Tensor("lm_head.weight", (vocabulary, WIDTH), loud)


def _matrix(name: str, rows: int, columns: int, gain: float) -> Tensor:
    return Tensor(f"{name}.weight", (rows, columns), gain / math.sqrt(columns))


def _chatglm(config: dict[str, Any]) -> tuple[Tensor, ...]:
    """The layout of GLM-4-9b-chat and CodeGeeX4, which came with a program of their own."""
    fused = WIDTH + 2 * config["kv_channels"] * config["multi_query_group_num"]
    tensors = [
        Tensor("transformer.embedding.word_embeddings.weight", (config["padded_vocab_size"], WIDTH), 1.0)
    ]
    for n in range(config["num_layers"]):
        at = f"transformer.encoder.layers.{n}"
        tensors += [
            Tensor(f"{at}.input_layernorm.weight", (WIDTH,), NORM),
            _matrix(f"{at}.self_attention.query_key_value", fused, WIDTH, 1.5),
            Tensor(f"{at}.self_attention.query_key_value.bias", (fused,), 0.5),
            _matrix(f"{at}.self_attention.dense", WIDTH, WIDTH, 1.5),
            Tensor(f"{at}.post_attention_layernorm.weight", (WIDTH,), NORM),
            _matrix(f"{at}.mlp.dense_h_to_4h", 2 * HIDDEN, WIDTH, 1.5),
            _matrix(f"{at}.mlp.dense_4h_to_h", WIDTH, HIDDEN, 1.5),
        ]
    return (
        *tensors,
        Tensor("transformer.encoder.final_layernorm.weight", (WIDTH,), NORM),
        Tensor("transformer.output_layer.weight", (config["padded_vocab_size"], WIDTH), 3 / math.sqrt(WIDTH)),
        Tensor("transformer.rotary_pos_emb.inv_freq", (config["kv_channels"] // 4,), 1.0),
    )


def _bert(config: dict[str, Any]) -> tuple[Tensor, ...]:
    tensors = [
        Tensor("embeddings.word_embeddings.weight", (config["vocab_size"], WIDTH), 1.0),
        Tensor("embeddings.position_embeddings.weight", (config["max_position_embeddings"], WIDTH), 0.5),
        Tensor("embeddings.token_type_embeddings.weight", (2, WIDTH), 0.5),
        *_pair("embeddings.LayerNorm"),
    ]
    for n in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{n}"
        for part in ("query", "key", "value"):
            tensors += _linear(f"{at}.attention.self.{part}", WIDTH, WIDTH)
        tensors += _linear(f"{at}.attention.output.dense", WIDTH, WIDTH)
        tensors += _pair(f"{at}.attention.output.LayerNorm")
        tensors += _linear(f"{at}.intermediate.dense", HIDDEN, WIDTH)
        tensors += _linear(f"{at}.output.dense", WIDTH, HIDDEN)
        tensors += _pair(f"{at}.output.LayerNorm")
    return (*tensors, *_linear("pooler.dense", WIDTH, WIDTH))


def _linear(name: str, rows: int, columns: int) -> list[Tensor]:
    return [_matrix(name, rows, columns, 1.5), Tensor(f"{name}.bias", (rows,), 0.3)]


def _pair(name: str) -> list[Tensor]:
    return [Tensor(f"{name}.weight", (WIDTH,), NORM), Tensor(f"{name}.bias", (WIDTH,), 0.3)]


def _all() -> Iterator[Spec]:
    config = _config("LlamaForCausalLM", "llama", "spm", bos_token_id=1, eos_token_id=2)
    yield Spec("llama", config, _decoder(config), "spm", 53)

    scaling = {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    ends = {"bos_token_id": 1000, "eos_token_id": [1001, 1004, 1005]}
    config = _config("LlamaForCausalLM", "llama", "llama3", rope_scaling=scaling, rope_theta=500000.0, **ends)
    yield Spec("llama3", config, _decoder(config), "llama3", 97, "F16", {"generation_config.json": ends})

    config = _config(
        "LlamaForCausalLM", "llama", "llama3", attention_bias=True, tie_word_embeddings=True, **ends
    )
    yield Spec("llama-bias", config, _decoder(config, biases="qkvo"), "llama3", 66, "F32")

    config = _config("MistralForCausalLM", "mistral", "spm", bos_token_id=1, eos_token_id=2, head_dim=32)
    config["sliding_window"] = None
    yield Spec("mistral", config, _decoder(config), "spm", 82)

    config = _config("Qwen2ForCausalLM", "qwen2", "qwen2", tie_word_embeddings=True, rope_theta=1000000.0)
    config |= {"vocab_size": 1024, "bos_token_id": 1000, "eos_token_id": 1002, "rms_norm_eps": 1e-6}
    config |= {"use_sliding_window": False, "sliding_window": 32, "max_window_layers": 2}
    yield Spec("qwen2", config, _decoder(config, biases="qkv"), "qwen2", 68)

    config = _config(
        "Qwen3ForCausalLM", "qwen3", "qwen2", head_dim=32, attention_bias=False, rms_norm_eps=1e-6
    )
    config |= {"bos_token_id": 1000, "eos_token_id": 1002}
    del config["rope_theta"]
    config["rope_parameters"] = {
        "rope_type": "default",
        "rope_theta": 1000000.0,
    }  # as transformers 5 writes it
    yield Spec("qwen3", config, _decoder(config), "qwen2", 54, "BF16")

    config = _config("GemmaForCausalLM", "gemma", "gemma", tie_word_embeddings=True, head_dim=32)
    config |= {"hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6}
    config |= {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    yield Spec("gemma", config, _decoder(config, norm=SHIFTED_NORM), "gemma", 78)

    config = dict(config, architectures=["Gemma2ForCausalLM"], model_type="gemma2", sliding_window=32)
    config |= {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 20.0, "query_pre_attn_scalar": 32}
    norms = ("pre_feedforward_layernorm", "post_feedforward_layernorm")
    yield Spec("gemma2", config, _decoder(config, norm=SHIFTED_NORM, extra_norms=norms), "gemma", 2)

    config = _config("Phi3ForCausalLM", "phi3", "spm", bos_token_id=1, eos_token_id=2, sliding_window=2047)
    config |= {"original_max_position_embeddings": CONTEXT, "rope_scaling": None, "pad_token_id": 2}
    yield Spec("phi3", config, _decoder(config), "spm", 1)

    glm: dict[str, Any] = {
        "head_dim": 16,
        "partial_rotary_factor": 0.5,
        "attention_bias": True,
        "rms_norm_eps": 1.5625e-07,
    }
    glm |= {"eos_token_id": [1000, 1007, 1009], "pad_token_id": 1000}
    config = _config("GlmForCausalLM", "glm", "glm", **glm, rope_theta=50000.0)
    yield Spec("glm", config, _decoder(config, biases="qkv"), "glm", 58, "BF16")

    config = _config("Glm4ForCausalLM", "glm4", "glm", **glm | {"head_dim": 32, "attention_bias": False})
    norms = ("post_self_attn_layernorm", "post_mlp_layernorm")
    yield Spec("glm4", config, _decoder(config, extra_norms=norms), "glm", 5)

    for name, ratio, seed in (("chatglm", 5, 87), ("codegeex4", 50, 63)):
        config = {
            "architectures": ["ChatGLMModel"],
            "model_type": "chatglm",
            "_name_or_path": f"THUDM/{'glm-4-9b-chat' if ratio == 5 else 'codegeex4-all-9b'}",
            "add_bias_linear": False,
            "add_qkv_bias": True,
            "apply_residual_connection_post_layernorm": False,
            "eos_token_id": [1000, 1007, 1009],
            "pad_token_id": 1000,
            "ffn_hidden_size": HIDDEN,
            "hidden_size": WIDTH,
            "kv_channels": 16,
            "layernorm_epsilon": 1.5625e-07,
            "multi_query_attention": True,
            "multi_query_group_num": GROUPS,
            "num_attention_heads": HEADS,
            "num_layers": LAYERS,
            "num_hidden_layers": LAYERS,
            "original_rope": True,
            "padded_vocab_size": 1024,
            "post_layer_norm": True,
            "rmsnorm": True,
            "rope_ratio": ratio,
            "seq_length": CONTEXT,
            "tie_word_embeddings": False,
            "vocab_size": 1024,
        }
        yield Spec(name, config, _chatglm(config), "chatglm", seed, "BF16" if name == "codegeex4" else "F16")

    config = _config(
        "BertModel", "bert", "wordpiece", hidden_act="gelu", layer_norm_eps=1e-12, type_vocab_size=2
    )
    config |= {"max_position_embeddings": 128, "position_embedding_type": "absolute", "pad_token_id": 0}
    for key in ("rms_norm_eps", "rope_theta", "num_key_value_heads", "attention_dropout"):
        del config[key]
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    pooling = {
        "word_embedding_dimension": WIDTH,
        "pooling_mode_mean_tokens": True,
        "pooling_mode_cls_token": False,
    }
    extra = {"modules.json": modules, "1_Pooling/config.json": pooling}
    yield Spec("bert", config, _bert(config), "wordpiece", 1, "F32", extra)
    first = pooling | {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    extra = {"modules.json": modules, "1_Pooling/config.json": first}
    yield Spec("bert-cls", config, _bert(config), "wordpiece", 2, "F32", extra)


def _more() -> Iterator[Spec]:
    """Relatives of those above: experts, and the ways to stretch a context."""
    config = _config("MixtralForCausalLM", "mixtral", "spm", bos_token_id=1, eos_token_id=2)
    config |= {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}
    yield Spec("mixtral", config, tuple(_mixtral(config)), "spm", 21, "BF16")

    config = _config("Phi3ForCausalLM", "phi3", "spm", bos_token_id=1, eos_token_id=2, pad_token_id=2)
    factors = {"long_factor": [1.0 + 0.75 * i for i in range(8)], "short_factor": [1.0] * 8}
    longer = {"original_max_position_embeddings": 8, "rope_scaling": {"type": "longrope", **factors}}
    yield Spec("phi3-longrope", config | longer, _decoder(config), "spm", 27)
    part = {"original_max_position_embeddings": CONTEXT, "partial_rotary_factor": 0.5}
    yield Spec("phi3-partial", config | part, _decoder(config), "spm", 21)

    config = _config("LlamaForCausalLM", "llama", "spm", bos_token_id=1, eos_token_id=2)
    linear = {"type": "linear", "factor": 4.0}
    yield Spec("llama-linear", config | {"rope_scaling": linear}, _decoder(config), "spm", 3)
    yarn = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64}
    yield Spec("llama-yarn", config | {"rope_scaling": yarn}, _decoder(config), "spm", 29)


def _mixtral(config: dict[str, Any]) -> Iterator[Tensor]:
    """A decoder whose feed-forward is there once for each expert, with a router that seldom hesitates."""
    experts = {"gate": "w1", "down": "w2", "up": "w3"}
    for tensor in _decoder(config):
        at, _, rest = tensor.name.partition(".mlp.")
        if not rest:
            yield tensor
            continue
        short = experts[rest.partition("_")[0]]
        for n in range(config["num_local_experts"]):
            yield Tensor(f"{at}.block_sparse_moe.experts.{n}.{short}.weight", tensor.shape, tensor.make)
        if short == "w1":
            yield Tensor(f"{at}.block_sparse_moe.gate.weight", (config["num_local_experts"], WIDTH), 1.0)


SPECS = {spec.name: spec for spec in (*_all(), *_more())}
