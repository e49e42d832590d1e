"""LoRA adapters that training left as safetensors, PEFT's or MLX's, as a GGUF adapter for a model that is here.

An adapter changes matrices W to W + s·B·A. The engine takes s for alpha / rank, with one alpha for all. Where training
meant another s for some matrix, the difference goes into that matrix's B.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tropa.gguf import GGUF
from tropa.library.convert import numbers, rope, safetensors
from tropa.library.convert.config import Config
from tropa.library.convert.convert import Converted, Progress
from tropa.library.convert.decoder import NAMES
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.folder import Folder
from tropa.library.convert.safetensors import Stored
from tropa.library.convert.values import Value
from tropa.library.convert.writer import BF16, F16, Info, Out, Writer
from tropa.library.errors import UnsupportedArchitecture

CONFIG = "adapter_config.json"
WEIGHTS = ("adapter_model.safetensors", "adapters.safetensors")
"""What PEFT and MLX call them. MLX keeps earlier states of the training beside them."""
SUPPORTED = ("llama", "gemma", "gemma2", "qwen2", "qwen3", "phi3", "glm4", "chatglm")
MATRICES = {
    **{source: target for source, target in NAMES.items() if not target.endswith("norm")},
    "self_attn.qkv_proj": "attn_qkv",
    "mlp.gate_up_proj": "ffn_up",
    "self_attention.query_key_value": "attn_qkv",
    "self_attention.dense": "attn_output",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
}
"""Within one layer, training's names and the engine's."""
HALF = re.compile(r"(?P<module>.+)\.lora_(?P<half>[ABab])(?:(?:\.\w+)?\.weight)?")
LAYER = re.compile(
    r"(?:base_model\.)?(?:model\.)*(?:transformer\.encoder\.)?layers\.(?P<layer>\d{1,4})\.(?P<name>.+)"
)
HEAD = re.compile(r"(?:base_model\.)?(?:model\.)*(?:lm_head|transformer\.output_layer)")


@dataclass(frozen=True, slots=True)
class Pair:
    """What changes one matrix. `a` is [rank, in] and `b` [out, rank], or both are the other way round (MLX)."""

    target: str
    module: str
    a: Stored
    b: Stored
    rank: int
    turned: bool


def _silent(status: str, done: int, total: int) -> None:
    """Nobody looks."""


def convert(files: Mapping[str, Path], base: GGUF, out: Out, *, progress: Progress = _silent) -> Converted:
    """Write the adapter in `files` (relative names to places on disk) to `out`, which only needs `write`.

    `base` is the header of the model it was trained on. Nothing is written before all names and shapes have been found
    to fit.
    Raises InvalidModelFolder, UnsupportedArchitecture.
    """
    if not base.architecture:
        raise InvalidModelFolder("architecture not set for the base model")
    if base.architecture not in SUPPORTED:
        raise UnsupportedArchitecture(
            f'unsupported architecture "{base.architecture}": '
            f"adapters can be imported for {', '.join(SUPPORTED)}",
            hint="convert the adapter with llama.cpp's convert_lora_to_gguf.py and name that file",
        )
    folder = Folder(files)
    fields = folder.json(CONFIG)
    if fields is None:
        raise InvalidModelFolder(
            f"{CONFIG} is not among the files", hint="it lies beside the adapter's weights"
        )
    scales = _Scales(Config(fields, CONFIG))
    pairs = sorted(_pairs(_stored(folder), base), key=lambda pair: _place(pair.target))
    alpha = scales.alpha(pairs)
    infos = [info for pair in pairs for info in _infos(pair, base)]
    total, done = sum(pair.a.nbytes + pair.b.nbytes for pair in pairs), 0
    writer = Writer(out, _keys(base, alpha), infos)
    for pair in pairs:
        for info, values in zip(_infos(pair, base), _halves(pair, base, scales.of(pair), alpha), strict=True):
            writer.begin()
            if not numbers.largest("F32", values) <= numbers.FLOAT16_LARGEST:
                raise InvalidModelFolder(f'"{pair.module[:200]}" has numbers beyond what 16 bits can hold')
            writer.write(np.ascontiguousarray(numbers.to(info.kind, "F32", values)))
        done += pair.a.nbytes + pair.b.nbytes
        progress("converting adapter", done, total)
    writer.end()
    return Converted(base.architecture, 1, False, ())


class _Scales:
    """What training multiplied B·A with."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._mlx = config.inner("lora_parameters")
        self._special = config.inner("alpha_pattern") or Config({}, CONFIG)
        if config.text("peft_type", "LORA").upper() != "LORA" or config.flag("use_dora"):
            raise InvalidModelFolder(
                f"{CONFIG}: only plain LoRA can be imported (no DoRA, no other peft_type)"
            )
        if config.text("fine_tune_type", "lora") != "lora":
            raise config.wrong("fine_tune_type", config.text("fine_tune_type"), "'lora'")

    def of(self, pair: Pair) -> float:
        """For one matrix."""
        if self._mlx is not None:
            alpha = self._mlx.number("alpha", default=pair.rank)
            return self._mlx.number("scale", default=1.0) * alpha / pair.rank
        alpha = self._config.number("lora_alpha", default=pair.rank)
        special = self._special
        for key in special.fields:
            if not re.fullmatch(r"[\w.]+", key):
                raise special.wrong(key[:80], special.fields[key], "under the plain name of a module")
            if pair.module == key or pair.module.endswith(f".{key}"):
                alpha = special.number(key)
        return alpha / (math.sqrt(pair.rank) if self._config.flag("use_rslora") else pair.rank)

    def alpha(self, pairs: list[Pair]) -> float:
        """The one to write: right for as many as possible, since only theirs stay as they were trained."""
        wanted = [self.of(pair) * pair.rank for pair in pairs]
        found = max(set(wanted), key=wanted.count)
        if found == 0 or not all(math.isfinite(each) for each in wanted):
            raise InvalidModelFolder(f"{CONFIG}: the adapter is scaled by {found}, so it changes nothing")
        return found


def _stored(folder: Folder) -> dict[str, Stored]:
    files = folder.names(".safetensors")
    chosen = [name for name in files if name.rpartition("/")[2] in WEIGHTS] or files
    if len(chosen) != 1:
        raise InvalidModelFolder(
            f"the files have {len(chosen)} of weights, and should have one: {' or '.join(WEIGHTS)}",
            hint="only one adapter is currently supported" if chosen else None,
        )
    return safetensors.read(folder.files[chosen[0]], chosen[0])


def _pairs(stored: Mapping[str, Stored], base: GGUF) -> Iterator[Pair]:
    halves: dict[str, dict[str, tuple[str, Stored]]] = {}
    for name, tensor in stored.items():
        match = HALF.fullmatch(name)
        if match is None:
            raise InvalidModelFolder(
                f'tensor "{name[:200]}" is no half of a LoRA; only adapters of nothing but LoRA matrices can be '
                "imported (no magnitudes, biases, embeddings or modules saved whole)"
            )
        half = halves.setdefault(match["module"], {})
        if match["half"].lower() in half:
            raise InvalidModelFolder(
                f'two tensors are lora_{match["half"].lower()} of "{match["module"][:200]}"'
            )
        half[match["half"].lower()] = match["half"], tensor
    if not halves:
        raise InvalidModelFolder("the adapter has no tensors")
    shapes = {tensor.name: tensor.dims for tensor in base.tensors}
    seen: set[str] = set()
    for module, half in halves.items():
        if len(half) != 2:
            raise InvalidModelFolder(f'"{module[:200]}" has only one half: lora_{next(iter(half))}')
        target = _target(module)
        if target not in shapes or target in seen:
            raise InvalidModelFolder(
                f'the adapter changes "{module[:200]}", which the base model '
                + (f"({base.architecture}) does not have" if target not in seen else "has once only"),
                hint="name the model it was trained on with FROM",
            )
        seen.add(target)
        yield _pair(target, module, half["a"], half["b"], shapes[target])


def _pair(
    target: str, module: str, a: tuple[str, Stored], b: tuple[str, Stored], dims: tuple[int, ...]
) -> Pair:
    """With the rank and the orientation, which the name tells and the base's shape decides."""
    if len(dims) != 2:
        raise InvalidModelFolder(f"the base model's {target} is no matrix, so no LoRA can be for it")
    into, out = dims
    first, second = a[1], b[1]
    ways = [False, True] if a[0] == "A" else [True, False]
    for turned in ways:
        left, right = (first.shape[::-1], second.shape[::-1]) if turned else (first.shape, second.shape)
        if len(left) == len(right) == 2 and left[1] == into and right[0] == out and left[0] == right[1] > 0:
            return Pair(target, module, first, second, left[0], turned)
    raise InvalidModelFolder(
        f'"{module[:200]}" has halves of {list(first.shape)} and {list(second.shape)}, which don\'t fit the base '
        f"model's {target} of {[out, into]}",
        hint="name the model it was trained on with FROM",
    )


def _target(module: str) -> str:
    layer = LAYER.fullmatch(module)
    if layer is not None and layer["name"] in MATRICES:
        return f"blk.{int(layer['layer'])}.{MATRICES[layer['name']]}.weight"
    return "output.weight" if HEAD.fullmatch(module) else ""


def _place(target: str) -> tuple[bool, int, str]:
    block = re.match(r"blk\.(\d+)\.", target)
    return block is None, int(block[1]) if block else 0, target


def _infos(pair: Pair, base: GGUF) -> tuple[Info, Info]:
    dims = next(tensor.dims for tensor in base.tensors if tensor.name == pair.target)
    kinds = [BF16 if half.dtype == "BF16" else F16 for half in (pair.a, pair.b)]
    return (
        Info(f"{pair.target}.lora_a", (pair.rank, dims[0]), kinds[0]),
        Info(f"{pair.target}.lora_b", (dims[-1], pair.rank), kinds[1]),
    )


def _halves(
    pair: Pair, base: GGUF, scale: float, alpha: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    a, b = (numbers.wide(half.dtype, half.read()) for half in (pair.a, pair.b))
    if pair.turned:
        a, b = a.T, b.T
    if not math.isclose(factor := scale * pair.rank / alpha, 1.0):
        b = b * np.float32(factor)
    heads = _heads(pair.target, base)
    return a, rope.interleaved(b, heads).astype(np.float32) if heads else b


def _heads(target: str, base: GGUF) -> int:
    """How many heads the rows of a Llama's queries or keys have: those the engine wants in another order (see `llama`).

    The rows are what comes out of the matrix, so they are rows of B; A has none of them.
    """
    if base.architecture != "llama":
        return 0
    layer = _place(target)[1]
    heads = base.metadata.integers("llama.attention.head_count", layer + 1)
    groups = base.metadata.integers("llama.attention.head_count_kv", layer + 1, heads[layer])
    found = {"attn_q": heads[layer], "attn_k": groups[layer]}.get(target.split(".")[-2])
    if found is None:
        return 0
    rows = next(tensor.dims[-1] for tensor in base.tensors if tensor.name == target)
    if not found or rows % (2 * found):
        raise InvalidModelFolder(f"the base model's {target} has {rows} rows, which are no {found} heads")
    return found


def _keys(base: GGUF, alpha: float) -> dict[str, Value]:
    found: dict[str, Value] = {
        "general.architecture": base.architecture,
        "general.type": "adapter",
        "general.version": "v0.2",
        "general.file_type": 1,
        "adapter.type": "lora",
        "adapter.lora.alpha": float(alpha),
    }
    if base.architecture == "llama":
        for key in ("llama.attention.head_count", "llama.attention.head_count_kv"):
            if isinstance(value := base.metadata.get(key), int):
                found[key] = value
    return found
