"""Which type each tensor gets. The file types are mixtures: more bits where a model is most sensitive.

The choices are those of the engine's own tool (llama.cpp b11549, `llama-quant.cpp`), so that a file made here is
the file made there; `tests/quantize` compares them byte for byte. Only what a quantization without importance
matrix can reach is here. Rules go by a tensor's role, its place among the layers, and how the model shares heads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from tropa.gguf import GGUF, Tensor
from tropa.gguf.tensor import TYPES, TensorType
from tropa.quantize.filetype import FileType

BY_NAME = {kind.name: kind for kind in TYPES.values()}
FOREIGN = ("a.", "mm.", "mtp.", "s.", "v.")
"""Names of eyes, ears and helpers that some programs pack into a text model's file: left as they are."""


class Role(Enum):
    """What a matrix is for, as far as it matters here."""

    EMBEDDING = auto()
    OUTPUT = auto()
    VALUE = auto()
    """What attention passes on: alone, fused with query and key, or compressed."""
    KEY = auto()
    MIXING = auto()
    """Attention's way out."""
    DOWN = auto()
    """The feed-forward's way out."""
    FORWARD = auto()
    OTHER = auto()


_PARTS = (  # the first that occurs in a name decides
    ("attn_qkv.weight", Role.VALUE),
    ("attn_kv_b.weight", Role.VALUE),
    ("attn_v.weight", Role.VALUE),
    ("attn_k.weight", Role.KEY),
    ("attn_q.weight", Role.OTHER),
    ("attn_output.weight", Role.MIXING),
    ("ffn_up", Role.FORWARD),
    ("ffn_gate", Role.FORWARD),
    ("ffn_down", Role.DOWN),
)
_NEVER = (  # small or delicate: never packed
    *("_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel"),
    *("per_layer_model_proj", "ssm_conv1d", "shortconv.conv.weight", "attn_rel_b.weight"),
    *("indexer.k_proj.weight", "indexer.q_proj.weight"),
    *(f"time_mix_{part}.weight" for part in (
        "first", "w0", "w1", "w2", "v0", "v1", "v2", "a0", "a1", "a2", "g1", "g2", "decay_w1", "decay_w2",
        "lerp_fused",
    )),
    *(".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_", ".rel_pos", ".patch_embd", ".patch_merger"),
    *("a.rvq.codebook", "mm.a.code_embd"),
)  # fmt: skip
_NEVER_WHOLE = ("position_embd.weight", "token_types.weight")
_NEVER_GLM5 = (
    *("hc_", "indexer.attn_q_b", "indexer.attn_k", "indexer.proj", "indexer_compressor_gate"),
    *("indexer_compressor_ape", "ssm_f_a.weight", "ssm_f_b.weight", "ssm_g_a.weight", "ssm_g_b.weight"),
    *("ssm_beta.weight", "attn_kv_a_mqa.weight", "attn_k_b.weight", "attn_v_b.weight"),
)
_WIDE_GLM5 = ("attn_q_a", "attn_q_b", "nextn.eh_proj")
_NARROWER = {  # where rows do not divide into blocks of 256
    "IQ3_S": "IQ4_NL",
    "IQ4_XS": "IQ4_NL",
    "Q2_0": "Q4_0",
    "Q2_K": "Q4_0",
    "Q3_K": "Q4_0",
    "TQ1_0": "Q4_0",
    "TQ2_0": "Q4_0",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
_MORE_FOR_EIGHT = ("Q2_K", "Q3_K_S", "Q3_K_M", "IQ3_S", "IQ3_M", "IQ4_NL", "IQ4_XS", "Q4_K_S", "Q4_K_M")
_OF_70B = {"llama": 80, "llama-embed": 80, "qwen2": 80, "deci": 80, "olmo": 80, "jais2": 68}
"""Layers of the models of that size, which spend more on their few value matrices."""


@dataclass(frozen=True, slots=True)
class Target:
    """A tensor, and the type it is to have."""

    tensor: Tensor
    type: TensorType


class NoBlocks(Exception):
    """A row that no block of the type divides, and there is no rule for what to do."""


def mixture(gguf: GGUF, kind: FileType) -> list[Target]:
    """All tensors in the order in which they are written, which is also the order that the rules count in."""
    tensors = sorted(gguf.tensors, key=_by_layer)
    chooser = _Chooser(gguf, kind, tensors)
    return [Target(tensor, chooser.type(tensor)) for tensor in tensors]


def _by_layer(tensor: Tensor) -> tuple[int, bytes]:
    return _layer(tensor.name), tensor.name.encode()


def _layer(name: str) -> int:
    match = re.match(r"blk\.\s*([+-]?\d+)", name)
    return int(match[1]) if match else -1


def role(name: str) -> Role:
    if name == "output.weight":
        return Role.OUTPUT
    if name in ("token_embd.weight", "per_layer_token_embd.weight"):
        return Role.EMBEDDING
    return next((role for part, role in _PARTS if part in name), Role.OTHER)


def may_change(name: str, dims: tuple[int, ...], architecture: str) -> bool:
    """Whether this is a matrix that a quantization is about: 2 dimensions or more, and not on a list."""
    flat = sum(1 for dim in dims[1:] if dim > 1) == 0
    if flat or not name.endswith("weight") or name.startswith(FOREIGN) or name in _NEVER_WHOLE:
        return False
    never = (*_NEVER, *_NEVER_GLM5) if architecture == "glm5-next" else _NEVER
    return not any(part in name for part in never)


class _Chooser:
    """Goes through the tensors of one model in their order, counting."""

    def __init__(self, gguf: GGUF, kind: FileType, tensors: Iterable[Tensor]) -> None:
        self.kind = kind
        self.architecture = gguf.architecture
        number = gguf.metadata.integer
        self.layers = number(gguf.own("block_count"))
        self.experts = number(gguf.own("expert_count"))
        heads = gguf.metadata.integers(gguf.own("attention.head_count"), 1)[0]
        groups = gguf.metadata.integers(gguf.own("attention.head_count_kv"), 1, heads)[0]
        self.sharing = heads // groups if groups else 0
        names = [tensor.name for tensor in tensors if not tensor.name.startswith(FOREIGN)]
        self.values = sum(role(name) is Role.VALUE for name in names)
        self.tied = "output.weight" not in names
        whole = self.layers == _OF_70B.get(self.architecture)
        if self.architecture.startswith("llama"):
            whole = whole and heads != groups and self.experts != 8
        self.is_70b = whole
        self._value = self._down = 0

    def type(self, tensor: Tensor) -> TensorType:
        if not may_change(tensor.name, tensor.dims, self.architecture):
            return tensor.type
        if not self.kind.packed:
            return BY_NAME[self.kind.base]
        return BY_NAME[_fitting(self._wanted(tensor), tensor.dims[0])]

    def _wanted(self, tensor: Tensor) -> str:
        name, base = tensor.name, self.kind.base
        if self.architecture == "glm5-next" and any(part in name for part in _WIDE_GLM5):
            return "Q8_0"
        what = role(name)
        if what is Role.OUTPUT or (self.tied and what is Role.EMBEDDING):
            return self._at_the_end(tensor)
        if self.kind.name == "MXFP4_MOE":
            expert = len(tensor.dims) > 2 and tensor.dims[2] > 1
            if self.architecture == "bailingmoe3":
                expert = expert and what in (Role.FORWARD, Role.DOWN)
            return "MXFP4" if expert else "Q8_0"
        match what:
            case Role.EMBEDDING:
                return "Q4_K" if self.kind.name in ("TQ1_0", "TQ2_0", "Q2_0") else base
            case Role.VALUE:
                wanted = self._of_value(self._value)
                self._value += 1
                return wanted
            case Role.KEY:
                return "Q8_0" if self.experts == 8 else base
            case Role.DOWN:
                at = _layer(name) if self.experts > 1 and _layer(name) >= 0 else self._down
                self._down += 1
                return self._of_down(at)
            case Role.MIXING:
                return self._of_mixing()
            case _:
                return base

    def _at_the_end(self, tensor: Tensor) -> str:
        """The output, or the embeddings where they are the output too."""
        base = BY_NAME[self.kind.base]
        if self.kind.name == "MXFP4_MOE" or self.architecture == "falcon" or tensor.dims[0] % base.block:
            return "Q8_0"
        return "Q8_0" if base.name == "Q8_0" else "Q6_K"

    def _of_value(self, at: int) -> str:
        shared = self.sharing >= 4
        wanted = self.kind.base
        match self.kind.name:
            case "Q2_K":
                wanted = "Q4_K" if shared else "Q3_K"
            case "IQ3_S":
                wanted = "Q4_K" if shared else wanted
            case "IQ3_M":
                wanted = "Q4_K"
            case "Q3_K_M":
                wanted = "Q5_K" if at < 2 else "Q4_K"
            case "Q3_K_L":
                wanted = "Q5_K"
            case "IQ4_NL" | "IQ4_XS":
                wanted = "Q5_K" if shared else wanted
            case "Q4_K_M" | "Q5_K_M":
                wanted = "Q6_K" if _favoured(at, self.values) else wanted
            case "Q4_K_S":
                wanted = "Q5_K" if at < 4 else wanted
        if self.is_70b and wanted in ("Q3_K", "Q4_K"):
            wanted = "Q5_K"
        return "Q8_0" if self.experts == 8 else wanted

    def _of_down(self, at: int) -> str:
        falcon = self.architecture == "falcon"
        early, first, favoured = at < self.layers // 8, at < self.layers // 16, _favoured(at, self.layers)
        match self.kind.name:
            case "Q2_K":
                return "Q3_K"
            case "Q3_K_M":
                return "Q5_K" if first else "Q4_K" if favoured or not falcon else "Q3_K"
            case "Q3_K_L":
                return "Q4_K" if falcon else "Q5_K"
            case "IQ3_M" if early or (self.experts == 8 and favoured):
                return "Q4_K"
            case "Q4_K_M" if falcon:
                return "Q6_K" if first else "Q5_K" if favoured else "Q4_K"
            case "Q4_K_M" | "Q5_K_M" if favoured:
                return "Q6_K"
            case "IQ4_NL" | "IQ4_XS" if early:
                return "Q5_K"
            case "Q4_K_S" if early and not falcon:
                return "Q5_K"
            case _:
                return self.kind.base

    def _of_mixing(self) -> str:
        name, base = self.kind.name, self.kind.base
        if self.architecture == "falcon":
            return "Q4_K" if name == "Q3_K_L" else base
        if self.experts == 8:
            return "Q5_K" if name in _MORE_FOR_EIGHT else base
        return {"Q2_K": "Q3_K", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K", "IQ3_M": "Q4_K"}.get(name, base)


def _favoured(at: int, count: int) -> bool:
    """The first and last eighth, and every third between."""
    return at < count // 8 or at >= 7 * count // 8 or (at - count // 8) % 3 == 2


def _fitting(wanted: str, row: int) -> str:
    """`wanted`, or what comes nearest if rows do not divide into its blocks."""
    if row % BY_NAME[wanted].block == 0:
        return wanted
    if wanted not in _NARROWER and BY_NAME[wanted].block > 32:
        raise NoBlocks(wanted)
    wanted = _NARROWER.get(wanted, wanted)
    return wanted if row % BY_NAME[wanted].block == 0 else "F16"


def changed(targets: Iterable[Target]) -> Iterator[Target]:
    return (target for target in targets if target.type is not target.tensor.type)
