"""Adapters: the base with the adapter answers as the model into which the adapter was merged before it was imported."""

from __future__ import annotations

import json
import math
import random
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.goldens import folder, golden
from tests.goldens.engine import TOLERANCE, probabilities, running
from tests.library.convert.adapters import CHANGED, RANK, Matrices, as_adapter, merged, mlx, peft, trained
from tests.library.convert.making import as_gguf, imported, source
from tests.library.convert.test_mutants import bytewise
from tropa.errors import TropaError
from tropa.gguf import read
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.convert.lora import convert
from tropa.library.errors import UnsupportedArchitecture


async def same_answers(adapted: Path, adapter: Path, whole: Path) -> None:
    """Asserts that both say the same, and that it is not what the base says without the adapter."""
    names = [run.prompt for run in golden.load("llama").runs]  # any tokens that every model has
    for_each: list[list[dict[int, float]]] = []
    for path, adapters in ((adapted, (adapter,)), (whole, ()), (adapted, ())):
        async with running(path, adapters=adapters) as runner:
            for_each.append(
                [await probabilities(runner, [each % 880 for each in prompt]) for prompt in names]
            )
    for ours, wanted, before in zip(*for_each, strict=True):
        likely = sorted(wanted, key=wanted.__getitem__)[-20:]
        assert max(abs(ours[token] - wanted[token]) for token in likely) < TOLERANCE
        assert max(abs(before[token] - wanted[token]) for token in likely) > 10 * TOLERANCE


@pytest.mark.parametrize("name", CHANGED)
async def test_base_and_adapter_answer_as_the_merged_model(name: str, tmp_path: Path) -> None:
    a, b = trained(name, tmp_path / "a")
    assert len(a) >= 8
    base = as_gguf(source(name, tmp_path / "b", dtype="F16").files, tmp_path / "base.gguf")[0]
    whole = merged(name, a, b, dict.fromkeys(a, 2.0), tmp_path / "m")
    dtype = "BF16" if name == "llama" else "F16"
    adapter = as_adapter(peft(a, b, {"lora_alpha": 8}, tmp_path / "l", dtype), base, tmp_path / "a.gguf")
    await same_answers(base, adapter, whole)


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"lora_parameters": {"rank": RANK, "scale": 2.5, "dropout": 0.0}}, 2.5),
        ({"lora_parameters": {"rank": RANK, "alpha": 8.0, "scale": 1.5}}, 3.0),
        ({"lora_parameters": {"rank": RANK, "alpha": 8.0}}, 2.0),
    ],
)
async def test_what_mlx_trained_is_turned(config: dict[str, Any], scale: float, tmp_path: Path) -> None:
    a, b = trained("llama", tmp_path / "a")
    base = imported("llama", tmp_path)
    whole = merged("llama", a, b, dict.fromkeys(a, scale), tmp_path / "m")
    adapter = as_adapter(mlx(a, b, config, tmp_path / "l"), base, tmp_path / "a.gguf")
    await same_answers(base, adapter, whole)


async def test_a_square_root_of_the_rank_and_an_alpha_of_its_own_are_heeded(tmp_path: Path) -> None:
    a, b = trained("qwen2", tmp_path / "a")
    base = imported("qwen2", tmp_path)
    scales = {module: (12 if "v_proj" in module else 4) / math.sqrt(RANK) for module in a}
    config = {"lora_alpha": 4, "use_rslora": True, "alpha_pattern": {"self_attn.v_proj": 12}}
    whole = merged("qwen2", a, b, scales, tmp_path / "m")
    adapter = as_adapter(peft(a, b, config, tmp_path / "l"), base, tmp_path / "a.gguf")
    assert read(adapter).metadata.number("adapter.lora.alpha") == 8
    await same_answers(base, adapter, whole)


def test_the_adapter_says_what_it_is(tmp_path: Path) -> None:
    a, b = trained("llama", tmp_path / "a")
    base = imported("llama", tmp_path)
    found = read(as_adapter(peft(a, b, {"lora_alpha": 8}, tmp_path / "l"), base, tmp_path / "a.gguf"))
    says = {key: found.metadata[key] for key in found.metadata}
    assert says == {
        "general.architecture": "llama",
        "general.type": "adapter",
        "general.version": "v0.2",
        "general.file_type": 1,
        "adapter.type": "lora",
        "adapter.lora.alpha": 8.0,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
    }
    assert {tensor.type.name for tensor in found.tensors} == {"F16"}


# What is no adapter for this model.


@pytest.fixture
def adapter(tmp_path: Path) -> tuple[Matrices, Matrices, Path, Path]:
    a, b = trained("llama", tmp_path / "a")
    return a, b, imported("llama", tmp_path), tmp_path / "l"


def refused(files: dict[str, Path], base: Path, said: str) -> None:
    out = BytesIO()
    with pytest.raises(InvalidModelFolder, match=said):
        convert(files, read(base), out)
    assert not out.getvalue()


Adapter = tuple[Matrices, Matrices, Path, Path]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"lora_alpha": 8, "use_dora": True}, "no DoRA"),
        ({"peft_type": "IA3"}, "only plain LoRA"),
        ({"lora_alpha": 0}, "it changes nothing"),
        ({"lora_alpha": "many"}, "lora_alpha is 'many'"),
        ({"lora_alpha": 8, "alpha_pattern": {"(a+)+": 3}}, "the plain name of a module"),
        ({"fine_tune_type": "full"}, "fine_tune_type is 'full'"),
    ],
)
def test_a_training_of_another_kind_is_refused(config: dict[str, Any], said: str, adapter: Adapter) -> None:
    a, b, base, place = adapter
    refused(peft(a, b, config, place), base, said)


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("base_model.model.model.norm.weight", (64,), "no half of a LoRA"),
        (
            "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
            (64,),
            "no half of a LoRA",
        ),
        ("base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias", (64,), "no half of a LoRA"),
        ("base_model.model.model.embed_tokens.lora_embedding_A", (4, 1256), "no half of a LoRA"),
        ("base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight", (4, 64), "only one half: lora_a"),
        (
            "base_model.model.model.layers.0.self_attn.q_proj.lora_A.other.weight",
            (4, 64),
            "two tensors are lora_a",
        ),
    ],
)
def test_tensors_that_are_no_pair_are_named(
    name: str, shape: tuple[int, ...], said: str, adapter: Adapter, tmp_path: Path
) -> None:
    a, b, base, place = adapter
    files = peft(a, b, {"lora_alpha": 8}, place)
    before = weights_of(files["adapter_model.safetensors"])
    folder.save(files["adapter_model.safetensors"], {**before, name: np.zeros(shape, np.float32)}, "F32")
    refused(files, base, said)


def weights_of(path: Path) -> Matrices:
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    return {
        name: np.frombuffer(data[start:][slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
        for name, entry in json.loads(data[8:start]).items()
        if name != "__metadata__"
    }


def test_an_adapter_for_another_model_is_refused_with_both_shapes(adapter: Adapter, tmp_path: Path) -> None:
    a, b, _, place = adapter
    files = peft(a, b, {"lora_alpha": 8}, place)
    refused(files, imported("mistral", tmp_path), r"\[4, 64\] and \[64, 4\], .* of \[128, 64\]")
    refused(files, imported("chatglm", tmp_path), r"which the base model \(chatglm\) does not have")


def test_without_its_config_or_weights_it_is_refused(adapter: Adapter) -> None:
    a, b, base, place = adapter
    files = peft(a, b, {"lora_alpha": 8}, place)
    refused({name: path for name, path in files.items() if name.endswith("json")}, base, "have 0 of weights")
    refused(
        {name: path for name, path in files.items() if not name.endswith("json")}, base, "adapter_config.json"
    )


def test_earlier_states_of_the_training_are_passed_over(adapter: Adapter) -> None:
    a, b, base, place = adapter
    files = mlx(a, b, {"lora_parameters": {"scale": 2.0}}, place)
    files["0000100_adapters.safetensors"] = files["adapters.safetensors"]
    convert(files, read(base), BytesIO())


def test_a_base_of_a_family_without_adapters_is_refused(adapter: Adapter, tmp_path: Path) -> None:
    a, b, _, place = adapter
    with pytest.raises(UnsupportedArchitecture, match='unsupported architecture "bert"'):
        convert(peft(a, b, {"lora_alpha": 8}, place), read(imported("bert", tmp_path)), BytesIO())


@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json"])
def test_bytes_that_changed_are_taken_or_refused(file: str, adapter: Adapter, tmp_path: Path) -> None:
    a, b, base, place = adapter
    files, model = peft(a, b, {"lora_alpha": 8}, place), read(base)
    whole, refusals = files[file].read_bytes(), 0
    for mutant in bytewise(whole, random.Random(file), 200):
        files[file].write_bytes(mutant)
        try:
            convert(files, model, BytesIO())
        except TropaError:
            refusals += 1
    assert refusals > 20


def test_progress_is_told_and_what_it_raises_ends_the_work(adapter: Adapter) -> None:
    a, b, base, place = adapter
    files = peft(a, b, {"lora_alpha": 8}, place)
    told: list[tuple[str, int, int]] = []
    convert(files, read(base), BytesIO(), progress=lambda *each: told.append(each))
    assert told[-1][1] == told[-1][2] > 0

    class Left(Exception):
        pass

    def leave(status: str, done: int, total: int) -> None:
        raise Left

    with pytest.raises(Left):
        convert(files, read(base), BytesIO(), progress=leave)
