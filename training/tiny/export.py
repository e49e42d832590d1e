"""The GGUF file: weights renamed, the tokenizer spelled out, and a description of what this is."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
from gguf.quants import quantize
from tokenizers import Tokenizer
from torch import Tensor

import gguf
from training.tiny.chat import END, END_OF_TEXT, TEMPLATE
from training.tiny.model import Llama
from training.tiny.tokenizer import PRE_TOKENIZER, SPECIAL

DESCRIPTION = (
    "A demonstration and test model, trained from scratch by the Tropa project on text made for it. "
    "It answers a fixed table of simple questions and repeats words; it is not meant for more than that."
)

_IN_BLOCK = {
    "attention_norm": "attn_norm",
    "attention.q": "attn_q",
    "attention.k": "attn_k",
    "attention.v": "attn_v",
    "attention.out": "attn_output",
    "feed_norm": "ffn_norm",
    "feed.gate": "ffn_gate",
    "feed.up": "ffn_up",
    "feed.down": "ffn_down",
}
_OUTSIDE = {"embed.weight": "token_embd.weight", "norm.weight": "output_norm.weight"}


def gguf_name(name: str) -> str:
    """The file's name for one of our weights."""
    if name in _OUTSIDE:
        return _OUTSIDE[name]
    _, block, rest = name.split(".", 2)
    return f"blk.{block}.{_IN_BLOCK[rest.removesuffix('.weight')]}.weight"


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    vocab = tokenizer.get_vocab()
    tokens = sorted(vocab, key=vocab.__getitem__)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE_TOKENIZER)
    writer.add_token_list(tokens)
    kinds = gguf.TokenType
    writer.add_token_types([kinds.CONTROL if token in SPECIAL else kinds.NORMAL for token in tokens])
    writer.add_token_merges([f"{left} {right}" for left, right in merges])
    # Training never shows a token before the first turn, so none may be added.
    writer.add_bos_token_id(vocab[END_OF_TEXT])
    writer.add_eos_token_id(vocab[END])
    writer.add_eot_token_id(vocab[END])
    writer.add_pad_token_id(vocab[END_OF_TEXT])
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_chat_template(TEMPLATE)


def _add_weight(writer: gguf.GGUFWriter, name: str, weight: Tensor) -> None:
    values = weight.detach().float().numpy()
    if values.ndim == 1:
        writer.add_tensor(gguf_name(name), values.astype(np.float32))
        return
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor(gguf_name(name), quantize(values, kind), raw_dtype=kind)


def write_gguf(model: Llama, tokenizer: Tokenizer, path: Path) -> None:
    """Write the file beside its place and then move it there, so that nobody ever reads half of it."""
    shape = model.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    os.close(handle)
    try:
        writer = gguf.GGUFWriter(partial, "llama")
        writer.add_type(gguf.GGUFType.MODEL)
        writer.add_name("tiny")
        writer.add_description(DESCRIPTION)
        writer.add_license("mit")
        writer.add_organization("Tropa")
        writer.add_size_label(f"{model.parameter_count() / 1e6:.1f}M")
        writer.add_languages(["en"])
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        writer.add_vocab_size(shape.vocab)
        writer.add_context_length(shape.context)
        writer.add_embedding_length(shape.width)
        writer.add_block_count(shape.layers)
        writer.add_feed_forward_length(shape.hidden)
        writer.add_head_count(shape.heads)
        writer.add_head_count_kv(shape.kv_heads)
        writer.add_rope_dimension_count(shape.head_dim)
        writer.add_rope_freq_base(shape.rope_base)
        writer.add_layer_norm_rms_eps(shape.norm_eps)
        _add_tokenizer(writer, tokenizer)
        for name, weight in model.named_parameters():
            _add_weight(writer, name, weight)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        Path(partial).chmod(0o644)
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)
