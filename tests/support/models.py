"""Random-weight GGUF files that the engine loads and runs: any size, several architectures, the same for a seed.

They answer nonsense, and that is enough for memory, speed, loading and unloading. Any text can be a prompt (every
tokenizer falls back to bytes). Special tokens and raw bytes have all-zero rows in the output, so that a generation
goes on with readable words and ends by its length, very seldom by itself. Packed types are made packed (random
bytes, one scale), so a model of a gigabyte takes seconds.

    llama(path)                      # about 1M parameters
    gemma2(path, layers=4, width=256, heads=4, vocab=2000)
    llama_100m(path)                 # for benchmarks
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gguf

READABLE = range(32, 127)
UNREADABLE = [byte for byte in range(256) if byte not in READABLE]
LETTERS = [chr(byte) for byte in READABLE if byte != 32]
TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
FILE_TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 7, "Q6_K": 18, "Q4_K": 15, "BF16": 32}
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


@dataclass(frozen=True)
class Shape:
    """The numbers of one model. `kv_heads` and `feed_forward` follow from the others when left 0."""

    architecture: str
    layers: int = 2
    width: int = 128
    heads: int = 4
    kv_heads: int = 0
    feed_forward: int = 0
    vocab: int = 1024
    context: int = 4096
    window: int = 0
    """Sliding window of every other layer (gemma2)."""
    type: str = "F16"
    """Of the matrices: F32, F16, BF16, Q8_0, Q6_K, Q4_K, Q4_0. The rest is F32."""
    pooling: int = 1
    """bert: 1 mean, 2 first token, 4 rank (a reranker)."""
    experts: int = 0
    """llama: feed-forward by so many experts, two of which work on each token."""
    template: str | None = TEMPLATE
    seed: int = 1

    @property
    def groups(self) -> int:
        return self.kv_heads or self.heads

    @property
    def hidden(self) -> int:
        return self.feed_forward or self.width * 3

    @property
    def head(self) -> int:
        return self.width // self.heads


def llama(path: Path, **shape: Any) -> Path:
    """Grouped heads, SwiGLU, SentencePiece vocabulary, separate output."""
    return write(path, replace(Shape("llama", kv_heads=2), **shape))


def mixtral(path: Path, **shape: Any) -> Path:
    """A llama with experts."""
    return write(path, replace(Shape("llama", kv_heads=2, experts=4), **shape))


def gemma2(path: Path, **shape: Any) -> Path:
    """Sliding window in every other layer, soft caps, output tied to the embeddings."""
    return write(path, replace(Shape("gemma2", kv_heads=2, window=512), **shape))


def chatglm(path: Path, **shape: Any) -> Path:
    """GLM-4 and CodeGeeX4: fused QKV with bias, fused gate and up, byte-level BPE."""
    return write(path, replace(Shape("chatglm", kv_heads=2), **shape))


def glm4(path: Path, **shape: Any) -> Path:
    """GLM-4-0414: norms after attention and feed-forward too."""
    return write(path, replace(Shape("glm4", kv_heads=2), **shape))


def bert(path: Path, **shape: Any) -> Path:
    """An embedding model: no cache, WordPiece vocabulary, mean pooling."""
    return write(path, replace(Shape("bert", context=512, template=None), **shape))


def llama_100m(path: Path, *, type: str = "Q4_0", seed: int = 1) -> Path:  # noqa: A002
    """About 100M parameters: 12 layers of 768, 12 heads over 4, 16k words. 60 MB as Q4_0, 110 MB as Q8_0."""
    shape = Shape("llama", 12, 768, 12, 4, 2048, 16384, context=32768, type=type, seed=seed)
    return write(path, shape)


def write(path: Path, shape: Shape) -> Path:
    """Writes the model and returns its path. Matrices are made one by one, so memory stays small."""
    writer = gguf.GGUFWriter(path, shape.architecture)
    writer.add_name(f"random {shape.architecture}")
    writer.add_file_type(FILE_TYPES[shape.type])
    _hyperparameters(writer, shape)
    {"gemma2": _sentencepiece, "llama": _sentencepiece, "bert": _wordpiece}.get(shape.architecture, _bpe)(
        writer, shape
    )
    if shape.template is not None:
        writer.add_chat_template(shape.template)
    weights = Weights(np.random.default_rng(shape.seed), shape)
    plan = list(_tensors(shape))
    for name, dims in plan:
        kind = weights.kind(name, dims)
        block, size = gguf.GGML_QUANT_SIZES[kind]
        writer.add_tensor_info(name, dims, np.dtype(np.float32), math.prod(dims) // block * size, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, dims in plan:
        writer.write_tensor_data(weights.make(name, dims))
    writer.close()
    return path


def _hyperparameters(writer: gguf.GGUFWriter, s: Shape) -> None:
    writer.add_context_length(s.context)
    writer.add_embedding_length(s.width)
    writer.add_block_count(s.layers)
    writer.add_feed_forward_length(s.hidden)
    writer.add_head_count(s.heads)
    writer.add_vocab_size(s.vocab)
    if s.architecture == "bert":
        writer.add_layer_norm_eps(1e-6)
        writer.add_causal_attention(False)
        writer.add_pooling_type(gguf.PoolingType(s.pooling))
        return
    writer.add_head_count_kv(s.groups)
    writer.add_layer_norm_rms_eps(1e-5)
    if s.architecture == "gemma2":
        writer.add_key_length(s.head)
        writer.add_value_length(s.head)
        writer.add_sliding_window(s.window)
        writer.add_attn_logit_softcapping(50.0)
        writer.add_final_logit_softcapping(30.0)
    else:
        writer.add_rope_dimension_count(s.head if s.architecture == "llama" else s.head // 2)
        writer.add_rope_freq_base(10000.0)
    if s.experts:
        writer.add_expert_count(s.experts)
        writer.add_expert_used_count(2)


def _tensors(s: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes, outermost dimension first, in the order they are written."""
    w, ff, kv = s.width, s.hidden, s.head * s.groups
    yield "token_embd.weight", (s.vocab, w)
    if s.architecture == "bert":
        yield "position_embd.weight", (s.context, w)
        yield "token_types.weight", (2, w)
        yield from _pair("token_embd_norm", w)
        if s.pooling == 4:
            yield "cls.weight", (w, w)
            yield "cls.bias", (w,)
            yield "cls.output.weight", (1, w)
            yield "cls.output.bias", (1,)
    else:
        yield "output_norm.weight", (w,)
        if s.architecture != "gemma2":
            yield "output.weight", (s.vocab, w)
    fused = s.architecture in ("chatglm", "glm4")
    for i in range(s.layers):
        b = f"blk.{i}."
        if s.architecture == "bert":
            for part in "qkv":
                yield f"{b}attn_{part}.weight", (w, w)
                yield f"{b}attn_{part}.bias", (w,)
            yield f"{b}attn_output.weight", (w, w)
            yield f"{b}attn_output.bias", (w,)
            yield from _pair(f"{b}attn_output_norm", w)
            yield f"{b}ffn_up.weight", (ff, w)
            yield f"{b}ffn_up.bias", (ff,)
            yield f"{b}ffn_down.weight", (w, ff)
            yield f"{b}ffn_down.bias", (w,)
            yield from _pair(f"{b}layer_output_norm", w)
            continue
        yield f"{b}attn_norm.weight", (w,)
        if s.architecture == "chatglm":
            yield f"{b}attn_qkv.weight", (w + 2 * kv, w)
            yield f"{b}attn_qkv.bias", (w + 2 * kv,)
        else:
            yield f"{b}attn_q.weight", (w, w)
            yield f"{b}attn_k.weight", (kv, w)
            yield f"{b}attn_v.weight", (kv, w)
        yield f"{b}attn_output.weight", (w, w)
        yield f"{b}ffn_norm.weight", (w,)
        if s.experts:
            yield f"{b}ffn_gate_inp.weight", (s.experts, w)
            yield f"{b}ffn_gate_exps.weight", (s.experts, ff, w)
            yield f"{b}ffn_up_exps.weight", (s.experts, ff, w)
            yield f"{b}ffn_down_exps.weight", (s.experts, w, ff)
            continue
        if not fused:
            yield f"{b}ffn_gate.weight", (ff, w)
        yield f"{b}ffn_up.weight", (ff * 2 if fused else ff, w)
        yield f"{b}ffn_down.weight", (w, ff)
        if s.architecture in ("gemma2", "glm4"):
            yield f"{b}post_attention_norm.weight", (w,)
            yield f"{b}post_ffw_norm.weight", (w,)


def _pair(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


class Weights:
    """Makes tensors one after another from one random stream."""

    def __init__(self, rng: np.random.Generator, shape: Shape) -> None:
        self._rng = rng
        self._shape = shape
        self._head = "token_embd.weight" if shape.architecture == "gemma2" else "output.weight"

    def kind(self, name: str, dims: tuple[int, ...]) -> gguf.GGMLQuantizationType:
        kind = gguf.GGMLQuantizationType[self._shape.type]
        small = (
            len(dims) == 1 or name.startswith(("position_embd", "token_types", "cls")) or "gate_inp" in name
        )
        if small or dims[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
            return gguf.GGMLQuantizationType.F32
        return kind

    def make(self, name: str, dims: tuple[int, ...]) -> NDArray[Any]:
        if len(dims) == 1:
            if "norm" not in name or name.endswith("bias"):
                return np.zeros(dims, np.float32)
            # Tied to the output, an embedding would answer with itself for ever: let the layers speak louder.
            loud = self._shape.architecture == "gemma2" and "post_" in name
            return np.full(dims, 20.0 if loud else 1.0, np.float32)
        rows, columns = math.prod(dims[:-1]), dims[-1]
        # Logits spread by about 3: some words are likely, and one of an all-zero row hardly ever comes.
        spread = 3.0 if name == self._head else 1.0
        matrix = self._matrix(self.kind(name, dims).name, rows, columns, spread / math.sqrt(columns))
        if name == self._head:
            matrix[: _silent(self._shape)] = 0
        return matrix

    def _matrix(self, kind: str, rows: int, columns: int, std: float) -> NDArray[Any]:
        if kind in ("F32", "F16", "BF16"):
            values = self._rng.standard_normal((rows, columns), np.float32) * np.float32(std)
            if kind == "BF16":
                return (values.view(np.uint32) >> 16).astype(np.uint16)
            return values.astype(np.float16 if kind == "F16" else np.float32)
        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
        raw = np.frombuffer(bytearray(self._rng.bytes(rows * columns // block * size)), np.uint8)
        blocks = raw.reshape(rows * columns // block, size)
        # Where a block keeps its scale, and the spread of its numbers when that scale is 1.
        where, unit = {"Q8_0": (0, 73.9), "Q4_0": (0, 4.64), "Q4_K": (0, 160.0), "Q6_K": (208, 1370.0)}[kind]
        scale = np.full(len(blocks), std / unit, np.float16)
        scale[
            self._rng.random(len(blocks)) < 0.5
        ] *= -1  # 4-bit numbers are not symmetric: half the blocks turned
        blocks[:, where : where + 2] = scale.view(np.uint8).reshape(-1, 2)
        if kind == "Q4_K":  # its offsets: small, and of both signs
            blocks[:, 2:4] = (scale * np.float16(-7.5)).view(np.uint8).reshape(-1, 2)
        return blocks.reshape(rows, columns // block * size)


def _silent(s: Shape) -> int:
    """The first tokens of every vocabulary are special ones and raw bytes."""
    return 259 if s.architecture in ("llama", "gemma2") else 2 + len(UNREADABLE)


def _words(count: int) -> list[str]:
    """Readable, all different: ba, be, … baba, babe, …"""
    syllables = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
    words: list[str] = []
    previous = [""]
    while len(words) < count:
        previous = [head + syllable for head in previous for syllable in syllables]
        words.extend(previous[: count - len(words)])
    return words


def _sentencepiece(writer: gguf.GGUFWriter, s: Shape) -> None:
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *LETTERS]
    if s.vocab < len(tokens):
        raise ValueError(f"a vocabulary of {s.vocab} is too small: at least {len(tokens)}")
    types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * (s.vocab - 259)]
    tokens += ["▁" + word for word in _words(s.vocab - len(tokens))]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(i) for i in range(s.vocab)])
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)


def _bpe(writer: gguf.GGUFWriter, s: Shape) -> None:
    alphabet = _byte_alphabet()
    tokens = ["<|endoftext|>", "<|user|>", *alphabet]
    if s.vocab < len(tokens):
        raise ValueError(f"a vocabulary of {s.vocab} is too small: at least {len(tokens)}")
    merges: dict[str, str] = {}
    for word in _words(s.vocab):  # each step of a merge makes a token, as in a real vocabulary
        for end in range(1, len(word) + 1):
            merges.setdefault(f"Ġ{word[:end]}", f"Ġ{word[: end - 1]} {word[end - 1]}")
    tokens += list(merges)[: s.vocab - len(tokens)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("glm4" if s.architecture == "glm4" else "chatglm-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL, CONTROL, *[NORMAL] * (s.vocab - 2)])
    writer.add_token_merges(list(merges.values())[: s.vocab - 258])
    writer.add_eos_token_id(0)
    writer.add_eot_token_id(1)
    writer.add_add_bos_token(False)


def _byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, those that are no readable ASCII first."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in shown]
    table = {byte: chr(byte) for byte in shown} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [table[byte] for byte in (*UNREADABLE, *READABLE)]


def _wordpiece(writer: gguf.GGUFWriter, s: Shape) -> None:
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"▁{c}" for c in LETTERS), *LETTERS]
    if s.vocab < len(tokens):
        raise ValueError(f"a vocabulary of {s.vocab} is too small: at least {len(tokens)}")
    tokens += ["▁" + word for word in _words(s.vocab - len(tokens))]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL, UNKNOWN, *[CONTROL] * 3, *[NORMAL] * (s.vocab - 5)])
    writer.add_token_type_count(2)
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_uint32("tokenizer.ggml.cls_token_id", 2)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)
