"""A golden is worth what it notices: with one number of the config changed, the import answers otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.goldens import golden
from tests.goldens.engine import answers_like, embeds_like
from tests.library.convert.making import as_gguf, source

CHANGES: list[tuple[str, dict[str, Any]]] = [
    ("llama", {"rope_theta": 20000.0}),
    ("llama", {"rms_norm_eps": 0.1}),
    ("llama3", {"rope_scaling": None}),
    ("qwen3", {"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}),
    ("gemma2", {"sliding_window": 512}),
    ("gemma2", {"attn_logit_softcapping": 50.0}),
    ("gemma2", {"final_logit_softcapping": 30.0}),
    ("glm", {"partial_rotary_factor": 0.25}),
    ("glm", {"rope_theta": 10000.0}),
    ("glm4", {"partial_rotary_factor": 1.0}),
    ("chatglm", {"rope_ratio": 1}),
    ("chatglm", {"layernorm_epsilon": 0.1}),
]


@pytest.mark.parametrize(("name", "fields"), CHANGES)
async def test_a_wrong_number_is_noticed(name: str, fields: dict[str, Any], tmp_path: Path) -> None:
    model = source(name, tmp_path)
    model.configure(**fields)
    path, _ = as_gguf(model.files, tmp_path / "m.gguf")
    with pytest.raises(AssertionError, match="step"):
        await answers_like(path, golden.load(name))


async def test_a_wrong_pooling_is_noticed(tmp_path: Path) -> None:
    model = source("bert", tmp_path)
    model.put("1_Pooling/config.json", {"pooling_mode_cls_token": True})
    path, _ = as_gguf(model.files, tmp_path / "m.gguf")
    with pytest.raises(AssertionError, match="The herd left"):
        await embeds_like(path, golden.load("bert"))


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("llama", "self_attn.q_proj", "self_attn.o_proj"),
        ("glm4", "post_self_attn_layernorm", "post_mlp_layernorm"),
        ("gemma2", "post_attention_layernorm", "post_feedforward_layernorm"),
        ("chatglm", "input_layernorm", "post_attention_layernorm"),
    ],
)
async def test_two_tensors_in_each_others_place_are_noticed(
    name: str, one: str, other: str, tmp_path: Path
) -> None:
    """Of one shape, so that nothing else would notice."""
    model = source(name, tmp_path)

    def swap(tensors: dict[str, Any]) -> None:
        for here in [key for key in tensors if f".{one}." in key]:
            there = here.replace(one, other)
            tensors[here], tensors[there] = tensors[there], tensors[here]

    model.change(swap)
    path, _ = as_gguf(model.files, tmp_path / "m.gguf")
    with pytest.raises(AssertionError, match="step"):
        await answers_like(path, golden.load(name))
