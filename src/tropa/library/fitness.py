"""Whether the engine will run a GGUF: what would stop it at load is said when the model is made.

Files that other programs wrote for their own engines look sound and are not: an architecture of their own, a
vision part inside the text model, keys left out. For each the error says what is wrong and what to do.
"""

from __future__ import annotations

from tropa.gguf import GGUF
from tropa.library.architectures import COMMON, ENGINE
from tropa.library.errors import UnsupportedArchitecture

ELSEWHERE = {
    "mllama": "Llama 3.2 Vision", "qwen25vl": "Qwen2.5-VL", "gptoss": "gpt-oss", "deepseekocr": "DeepSeek-OCR",
    "glmocr": "GLM-OCR", "nemotron_h_omni": "Nemotron Nano Omni", "gemma3_text": "Gemma 3", "mistral": "Mistral",
}  # fmt: skip
"""Architectures that only the reference's own engine knows, and whose models they are."""
_PARTS = {"v.": "vision", "mm.": "vision", "a.": "audio", "s.": "vision (SAM)"}
_NORMED = """
arcee baichuan bailingmoe bailingmoe2 bitnet chatglm deci deepseek deepseek2 dots1 ernie4_5 exaone exaone4
gemma gemma-embedding gemma2 gemma3 gemma3n gemma4 glm4 granite grok internlm2 jamba lfm2 lfm2moe llama
llama4 mamba mamba2 minicpm minicpm3 mistral3 olmo2 olmoe openelm phi3 phimoe plamo qwen qwen2 qwen2moe
qwen3 qwen35 qwen35moe qwen3moe qwen3next qwen3vl qwen3vlmoe seed_oss smollm3 xverse
"""
_RMS = frozenset(_NORMED.split())
"""Architectures whose norms the engine cannot build without their epsilon (llama.cpp b11549, `src/models`)."""
MOST_CONTEXT = (1 << 31) - 1
"""Tokens. The engine takes more for a negative number, and ends."""
_ANOTHER = (
    "take a GGUF of it made for llama.cpp (language model, and projector as a second FROM line), or make one "
    "here from the safetensors folder"
)


def check(file: str, gguf: GGUF, known: frozenset[str] | None) -> None:
    """Raises UnsupportedArchitecture. `known` None: the engine is the user's own, and it judges itself."""
    if known is None:
        return
    if gguf.architecture not in known:
        raise _unknown(file, gguf.architecture, known)
    names = {tensor.name for tensor in gguf.tensors}
    writes = "token_embd.weight" in names and "blk.0.attn_norm.weight" in names
    for start, what in _PARTS.items():
        if (count := sum(name.startswith(start) for name in names)) and writes:
            raise UnsupportedArchitecture(
                f"{file} has its {what} part inside the language model ({count} tensors named {start}*): the "
                f"engine ({ENGINE}) reads language model and projector from two files",
                hint=_ANOTHER,
            )
    if writes and (missing := [key for key in _needed(gguf) if key not in gguf.metadata]):
        raise UnsupportedArchitecture(
            f"{file} lacks what the engine ({ENGINE}) needs of a {gguf.architecture} model: {', '.join(missing)}",
            hint=f"it was made for another program, or damaged; {_ANOTHER}",
        )
    if writes and (trained := gguf.metadata.integer(gguf.own("context_length"))) > MOST_CONTEXT:
        raise UnsupportedArchitecture(
            f"{file} says that it was trained with {trained} tokens of context: the engine ({ENGINE}) takes "
            f"{MOST_CONTEXT} at most",
            hint=f"it is damaged; {_ANOTHER}",
        )


def _needed(gguf: GGUF) -> list[str]:
    keys = [gguf.own(key) for key in ("context_length", "embedding_length", "block_count")]
    if gguf.architecture in _RMS:
        keys.append(gguf.own("attention.layer_norm_rms_epsilon"))
    return [*keys, "tokenizer.ggml.model"]


def _unknown(file: str, architecture: str, known: frozenset[str]) -> UnsupportedArchitecture:
    from difflib import get_close_matches

    if model := ELSEWHERE.get(architecture):
        return UnsupportedArchitecture(
            f'unsupported architecture "{architecture}": {file} is a file of {model} that was made for another '
            f"engine than ours ({ENGINE})",
            hint=_ANOTHER,
        )
    near = get_close_matches(architecture, sorted(known), n=4, cutoff=0.5)
    examples = list(dict.fromkeys([*near, *(each for each in COMMON if each in known)]))
    return UnsupportedArchitecture(
        f'unsupported architecture "{architecture}": {file} needs an engine that knows it; ours ({ENGINE}) '
        f"knows {len(known)} others: {', '.join(examples)} …",
        hint="use a newer Tropa, or name a llama-server that knows it in TROPA_LLAMA_SERVER",
    )
