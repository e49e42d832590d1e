"""LoRA adapters with random matrices, as PEFT and MLX save them, and the models they make when merged."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tests.goldens import folder, weights
from tests.library.convert.making import as_gguf, source
from tropa.gguf import read
from tropa.library.convert.lora import convert

RANK = 4
COMMON = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PHI3 = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
GLM = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"]
CHATGLM = ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]
CHANGED = {
    "llama": [*COMMON, "lm_head"],
    "mistral": COMMON,
    "qwen2": COMMON,
    "gemma2": COMMON,
    "phi3": PHI3,
    "glm": GLM,
    "glm4": GLM,
    "chatglm": CHATGLM,
}
"""For each model the last parts of the names of what its adapter changes."""

Matrices = dict[str, weights.Array]


def trained(name: str, place: Path) -> tuple[Matrices, Matrices]:
    """Halves A [rank, in] and B [out, rank] by the names of the matrices they change."""
    a, b = {}, {}
    for module, (_, matrix) in source(name, place).tensors().items():
        if module.removesuffix(".weight").rpartition(".")[2] in CHANGED[name] and matrix.ndim == 2:
            rows, columns = matrix.shape
            a[module] = weights.spread(7, f"{module}/a", (RANK, columns), 1 / math.sqrt(columns))
            b[module] = weights.spread(7, f"{module}/b", (rows, RANK), 0.5)
    return a, b


def merged(name: str, a: Matrices, b: Matrices, scales: dict[str, float], place: Path) -> Path:
    """The model with W + s·B·A in place of each W, imported."""
    model = source(name, place, dtype="F16")

    def merge(tensors: dict[str, Any]) -> None:
        for module in a:
            dtype, matrix = tensors[module]
            tensors[module] = dtype, matrix + scales[module] * (b[module] @ a[module])

    model.change(merge)
    return as_gguf(model.files, place / "merged.gguf")[0]


def peft(
    a: Matrices, b: Matrices, config: dict[str, Any], place: Path, dtype: str = "F32"
) -> dict[str, Path]:
    """As PEFT saves an adapter."""
    halves = {}
    for module in a:
        stem = f"base_model.model.{module.removesuffix('.weight')}"
        halves[f"{stem}.lora_A.weight"], halves[f"{stem}.lora_B.weight"] = a[module], b[module]
    return saved(
        halves, {"peft_type": "LORA", "r": RANK, **config}, place, "adapter_model.safetensors", dtype
    )


def mlx(a: Matrices, b: Matrices, config: dict[str, Any], place: Path) -> dict[str, Path]:
    """As MLX saves one: both halves the other way round."""
    halves = {}
    for module in a:
        stem = module.removesuffix(".weight")
        halves[f"{stem}.lora_a"] = np.ascontiguousarray(a[module].T)
        halves[f"{stem}.lora_b"] = np.ascontiguousarray(b[module].T)
    return saved(halves, config, place, "adapters.safetensors")


def saved(
    halves: Matrices, config: dict[str, Any], place: Path, name: str, dtype: str = "F32"
) -> dict[str, Path]:
    place.mkdir()
    (place / "adapter_config.json").write_text(json.dumps(config))
    folder.save(place / name, halves, dtype)
    return folder.files(place)


def as_adapter(files: dict[str, Path], base: Path, path: Path) -> Path:
    with path.open("wb") as out:
        convert(files, read(base), out)
    return path
