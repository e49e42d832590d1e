r"""Models that say exactly what a test wants: real GGUF files for the real engine, without any knowledge.

The next token depends on the last one alone. Layers add nothing, a token's row in the output is the embedding of the
token before it, so greedy sampling walks through the script. A script begins when its cue is the end of the prompt.

    scripted(path, {"<go>": ["<think>", "hm", "</think>", "Yes", b"\xe2", b"\x82", b"\xac"]})

Pieces are texts (each becomes one token, and prints as it is) or single bytes. Each may occur once in a model, except
that a script may end where another one goes on. After its last piece a script ends with the end-of-generation token,
or goes round for ever if its last piece occurred before.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

import gguf

WIDTH, FEED_FORWARD = 256, 32
UNKNOWN, NORMAL, CONTROL, USER, BYTE = 2, 1, 3, 4, 6
BOS, EOS = 1, 2
LETTERS = [chr(code) for code in range(33, 127)]


def scripted(
    path: Path,
    scripts: Mapping[str, Sequence[str | bytes]],
    *,
    special: Collection[str] = (),
    add_bos: bool = True,
    context: int = 4096,
    template: str | None = None,
) -> Path:
    """Writes the model. `special`: pieces that are special tokens, which an engine does not show by itself."""
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *LETTERS]
    types = [UNKNOWN, CONTROL, CONTROL, *[BYTE] * 256, *[NORMAL] * (1 + len(LETTERS))]
    numbers = {letter: tokens.index(letter) for letter in LETTERS}

    def number(piece: str | bytes) -> int:
        if isinstance(piece, bytes):
            (byte,) = piece
            return 3 + byte
        if piece not in numbers:
            numbers[piece] = len(tokens)
            tokens.append(piece)
            types.append(CONTROL if piece in special else USER)
        return numbers[piece]

    follows: dict[int, int] = {}
    for cue, pieces in scripts.items():
        last = number(cue)
        for piece in pieces:
            here = number(piece)
            follows[last] = here
            last = here
        follows.setdefault(last, EOS)

    embeddings = np.random.default_rng(1).standard_normal((len(tokens), WIDTH), np.float32)
    output = np.zeros_like(embeddings)
    for before, after in follows.items():
        output[after] += embeddings[before]

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("scripted")
    writer.add_context_length(context)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // 4)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(0)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([-float(place) for place in range(len(tokens))])
    writer.add_token_types(types)
    writer.add_bos_token_id(BOS)
    writer.add_eos_token_id(EOS)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(add_bos)
    writer.add_add_space_prefix(False)
    if template is not None:
        writer.add_chat_template(template)
    writer.add_tensor("token_embd.weight", embeddings)
    writer.add_tensor("output.weight", output)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    square, wide = np.zeros((WIDTH, WIDTH), np.float32), np.zeros((FEED_FORWARD, WIDTH), np.float32)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.add_tensor(f"blk.0.{name}.weight", square)
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor("blk.0.ffn_gate.weight", wide)
    writer.add_tensor("blk.0.ffn_up.weight", wide)
    writer.add_tensor("blk.0.ffn_down.weight", np.ascontiguousarray(wide.T))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
