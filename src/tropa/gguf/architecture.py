"""What the file does not say and the engine knows by the architecture's name (llama.cpp b11549).

A newer engine may know more names; a name missing here is a reason to be careful, not to refuse.
"""

from __future__ import annotations

from dataclasses import dataclass


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


KNOWN = _names(
    """
    llama llama4 deci falcon grok gpt2 gptneox mpt baichuan starcoder refact bert modern-bert nomic-bert
    nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert bloom stablelm qwen qwen2 qwen2moe qwen2vl qwen3
    qwen3moe qwen3next qwen3vl qwen3vlmoe qwen35 qwen35moe clef qwen4exp phi2 phi3 phimoe plamo plamo2 plamo3
    codeshell orion internlm2 minicpm minicpm3 gemma gemma2 gemma3 gemma3n gemma4 gemma4-assistant
    gemma-embedding gemma-embedding2 starcoder2 mamba mamba2 maple jamba falcon-h1 xverse command-r cohere2
    cohere2moe dbrx olmo olmo2 olmoe muse-glimmer openelm arctic deepseek deepseek2 deepseek2-ocr deepseek32
    deepseek4 chatglm glm4 glm4moe glm-dsa bitnet t5 t5encoder jais jais2 nemotron nemotron_h nemotron_h_moe
    exaone exaone4 exaone-moe rwkv6 rwkv6qwen2 rwkv7 arwkv7 granite granitemoe granitehybrid graniteswitch
    granite_swa chameleon wavtokenizer-dec plm bailingmoe bailingmoe2 bailingmoe3 dots1 dots3note arcee afmoe
    laguna ernie4_5 ernie4_5-moe hunyuan-moe hunyuan-dense hunyuan_vl hy_v3 hy_v4 smollm3 gpt-oss lfm2 lfm2moe
    dream smallthinker llada llada-moe seed_oss grovemoe apertus minimax-01 hrm_text minimax-m2 minimax-m3 cogvlm
    rnd1 pangu-embedded mistral3 eagle3 dflash mistral4 paddleocr mimo2 step35 spark2_5 llama-embed maincoder
    kimi-linear kimi-k3 glm5-next talkie mellum nanbeige qwen3tts pockettts k2-horizon
    """
)
"""What this build of the engine can load as a model. `clip` is a projector, not a model."""

PROJECTOR = "clip"

ENCODERS = _names(
    """
    bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert gemma-embedding
    gemma-embedding2
    """
)
"""They read the whole input at once and keep nothing: embedding and rerank models without a cache."""

CACHELESS = ENCODERS | {"wavtokenizer-dec", "dream", "llada", "llada-moe", "rnd1", "clef"}

RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
"""Every layer has a state of fixed size, and none a cache."""

BOTH = frozenset({"falcon-h1"})
"""Every layer has a state and a cache."""

FULL_ATTENTION_EVERY = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "qwen4exp": 4, "minimax-01": 8}
"""Hybrids where every n-th layer attends and the others are recurrent, unless the file says otherwise."""

ONE_SLOT = _names(
    """
    mllama qwen3vl qwen3vlmoe qwen35 qwen35moe qwen3next lfm2 lfm2moe nemotron_h nemotron_h_moe nemotron_h_omni
    """
)
"""Families that the reference runs with one slot only."""


@dataclass(frozen=True, slots=True)
class Sliding:
    """Of every `every` layers one attends to everything: the last of them, or the first if `full_first`.

    `window` is what holds when the file names none; 0 means the file must name it, else nothing slides.
    `layers` > 0: only the model of so many layers slides.
    """

    every: int
    full_first: bool = False
    window: int = 0
    layers: int = 0


SLIDING = {
    "afmoe": Sliding(4),
    "cohere2": Sliding(4),
    "cohere2moe": Sliding(4, full_first=True),
    "exaone-moe": Sliding(4, window=128),
    "exaone4": Sliding(4, window=4096, layers=64),
    "gemma2": Sliding(2, window=4096),
    "gemma3": Sliding(6),
    "gemma3n": Sliding(5),
    "gpt-oss": Sliding(2),
    "laguna": Sliding(4, full_first=True),
    "llama4": Sliding(4, window=8192),
    "mellum": Sliding(4),
    "muse-glimmer": Sliding(4),
    "olmo2": Sliding(4),
    "plamo3": Sliding(8),
    "smallthinker": Sliding(4, full_first=True),
}
SLIDING_BY_FILE = frozenset({"gemma4", "granite_swa", "maple", "mimo2", "spark2_5", "step35"})
"""Here the file has one flag per layer. Everywhere else a window in the file is ignored by the engine."""

SHARED_CACHE_FROM = {"gemma3n": 20}
"""Layers from this one on use the cache of earlier ones."""
