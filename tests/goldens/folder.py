"""A spec as the folder that its makers would publish: `config.json`, `model.safetensors`, the tokenizer's files.

Numpy and the standard library are all it takes, and every byte is the same wherever it is written, so that a golden
file made with `transformers` holds for the folder that a test makes without it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.goldens import weights
from tests.goldens.specs import LOUD_NORM, NORM, SHIFTED_NORM, Spec, Tensor

TOKENIZERS = Path(__file__).with_name("tokenizers")
QUIET = -3
"""Some tokens have their row of the output times 2 to this power: no answer has them, whatever the seed."""


def write(spec: Spec, folder: Path) -> Path:
    """Makes `folder` and returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted((TOKENIZERS / spec.tokenizer).iterdir()):
        shutil.copyfile(file, folder / file.name)
    torch_name = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}[spec.dtype]
    _json(folder / "config.json", spec.config | {"torch_dtype": torch_name})
    for name, content in spec.extra.items():
        _json(folder / name, content)
    save(folder / "model.safetensors", tensors(spec), spec.dtype)
    return folder


def files(folder: Path) -> dict[str, Path]:
    """Name within the folder → where it lies: what a create request's `files` come to."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def tensors(spec: Spec) -> dict[str, weights.Array]:
    """All tensors by their name, as 32-bit numbers."""
    quiet = quiet_ids(spec.tokenizer)
    return {tensor.name: _values(spec, tensor, quiet) for tensor in spec.tensors}


def _values(spec: Spec, tensor: Tensor, quiet: list[int]) -> weights.Array:
    match tensor.make:
        case str():
            centre = {NORM: 1.0, SHIFTED_NORM: 0.0, LOUD_NORM: 6.0}[tensor.make]
            return weights.around(centre, spec.seed, tensor.name, tensor.shape)
        case float():
            values = weights.spread(spec.seed, tensor.name, tensor.shape, tensor.make)
    head = tensor.name.endswith(("lm_head.weight", "output_layer.weight"))
    if head or (spec.config["tie_word_embeddings"] and tensor.name.endswith("embed_tokens.weight")):
        values[quiet] = np.ldexp(values[quiet], QUIET)
    return values


def quiet_ids(tokenizer: str) -> list[int]:
    """The ids of special tokens, and of tokens that are no whole characters: the engine keeps those back until the
    rest has come, and says nothing of their probabilities."""
    folder = TOKENIZERS / tokenizer
    if tokenizer in SYMBOLS:
        return list(range(SYMBOLS[tokenizer]))
    if tokenizer == "chatglm":
        return quiet_ids("glm")  # the same tokens
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    special = [token["id"] for token in content["added_tokens"]]
    stand_ins = bytes_of_letters()
    if content["model"]["type"] != "BPE":
        return special
    return special + [
        number
        for token, number in content["model"]["vocab"].items()
        if not _is_text(bytes(stand_ins[letter] for letter in token))
    ]


SYMBOLS = {"spm": 3 + 256, "gemma": 4 + 114 + 256}
"""How many special and byte tokens the SentencePiece vocabularies begin with."""


def bytes_of_letters() -> dict[str, int]:
    """GPT-2's printable stand-ins of the 256 bytes, and what they stand for."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + i): byte for i, byte in enumerate(others)}


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def save(path: Path, tensors: dict[str, weights.Array], dtype: str) -> Path:
    """Writes a safetensors file in which every tensor has this type. The numbers must be exact in it."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    data = {name: _as(dtype, values) for name, values in tensors.items()}
    for name, packed in data.items():
        header[name] = {
            "dtype": dtype,
            "shape": list(packed.shape),
            "data_offsets": [offset, offset + packed.nbytes],
        }
        offset += packed.nbytes
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with path.open("wb") as out:
        out.write(len(head).to_bytes(8, "little") + head)
        for packed in data.values():
            out.write(packed.tobytes())
    return path


def _as(dtype: str, values: weights.Array) -> NDArray[Any]:
    match dtype:
        case "F32":
            return values
        case "F16":
            packed: NDArray[Any] = values.astype(np.float16)
            exact = bool((packed.astype(np.float32) == values).all())
        case "BF16":
            bits = values.view(np.uint32)
            packed, exact = (bits >> 16).astype(np.uint16), not (bits & 0xFFFF).any()
        case _:
            raise ValueError(f"no such type: {dtype}")
    if not exact:
        raise ValueError(f"these numbers are not exact in {dtype}")
    return packed


def _json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
