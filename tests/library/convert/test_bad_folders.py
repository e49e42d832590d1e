"""Folders that make no model: each is refused with what was wrong, before anything is written."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.library.convert.making import Source, safetensors, source
from tropa.library.convert.convert import convert
from tropa.library.convert.errors import InvalidModelFolder
from tropa.library.errors import UnsupportedArchitecture

Q = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture
def llama(tmp_path: Path) -> Source:
    return source("llama", tmp_path)


def refusal(folder: Source) -> str:
    """What is said, nothing having been written."""
    out = BytesIO()
    with pytest.raises(InvalidModelFolder) as error:
        convert(folder.files, out)
    assert not out.getvalue()
    return f"{error.value} | {error.value.hint}"


def test_an_architecture_that_is_not_known_is_named_with_those_that_are(llama: Source) -> None:
    llama.configure(architectures=["MambaForCausalLM"])
    with pytest.raises(
        UnsupportedArchitecture, match=r'unsupported architecture "MambaForCausalLM".*LlamaForCausalLM'
    ):
        llama.convert()


@pytest.mark.parametrize("listed", [None, [], [7], "LlamaForCausalLM"])
def test_a_config_has_to_name_an_architecture(llama: Source, listed: Any) -> None:
    llama.configure(architectures=listed)
    assert "unknown architecture" in refusal(llama)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.model"])
def test_a_missing_file_is_named(llama: Source, missing: str) -> None:
    del llama.files[missing]
    assert {"model.safetensors": ".safetensors"}.get(missing, missing) in refusal(llama)


def test_the_name_of_the_folder_may_stand_in_front(llama: Source) -> None:
    llama.files = {f"my-model/{name}": path for name, path in llama.files.items()}
    llama.convert()


def test_the_tokenizer_may_lie_one_level_down(llama: Source) -> None:
    llama.files["tokenizer/tokenizer.model"] = llama.files.pop("tokenizer.model")
    llama.convert()


def test_a_pickle_is_never_opened(llama: Source) -> None:
    del llama.files["model.safetensors"]
    llama.files["pytorch_model.bin"] = Path("/does/not/exist")
    said = refusal(llama)
    assert "pytorch_model.bin is a pickle" in said
    assert "save_pretrained" in said


def test_a_git_lfs_pointer_is_called_one(llama: Source) -> None:
    llama.put("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    assert "git-lfs pointer" in refusal(llama)


def test_a_shard_that_the_index_names_has_to_be_there(llama: Source) -> None:
    llama.put("model.safetensors.index.json", {"weight_map": {"a": "model-00001-of-00002.safetensors"}})
    assert "names model-00001-of-00002.safetensors, which is not among the files" in refusal(llama)


@pytest.mark.parametrize("weight_map", [None, [], {"a": 1}])
def test_an_index_has_to_be_one(llama: Source, weight_map: Any) -> None:
    llama.put("model.safetensors.index.json", {"weight_map": weight_map})
    assert "weight_map" in refusal(llama)


def test_a_missing_tensor_is_named(llama: Source) -> None:
    llama.change(lambda tensors: tensors.pop(Q))
    assert f'missing tensors: the files have no "{Q}"' in refusal(llama)


def test_a_tensor_too_many_is_named(llama: Source) -> None:
    name = "model.layers.0.self_attn.q_norm.weight"
    llama.change(lambda tensors: tensors.update({name: ("F32", np.ones(16))}))
    assert f'unknown tensors: the files have "{name}"' in refusal(llama)


def test_buffers_of_old_checkpoints_are_passed_over(llama: Source) -> None:
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    llama.change(lambda tensors: tensors.update({name: ("I64", np.ones(16))}))
    llama.convert()


def test_a_wrong_shape_is_told_with_the_right_one(llama: Source) -> None:
    llama.change(lambda tensors: tensors.update({Q: ("F32", np.ones((64, 32)))}))
    assert f'tensor "{Q}" has shape [64, 32], and by config.json it should be [64, 64]' in refusal(llama)


def test_the_same_tensor_in_two_files_is_refused(llama: Source) -> None:
    llama.put("model-2.safetensors", llama.files["model.safetensors"].read_bytes())
    assert "duplicate tensor name 'model.embed_tokens.weight' was found for this model" in refusal(llama)


def test_a_type_that_no_weights_have_is_named(llama: Source) -> None:
    llama.change(lambda tensors: tensors.update({Q: ("I64", np.ones((64, 64)))}))
    assert f'unknown data type: I64 (tensor "{Q}"' in refusal(llama)


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("llama", {"hidden_size": "64"}, "hidden_size is '64', and should be a whole number from 1"),
    ("llama", {"num_hidden_layers": 0}, "num_hidden_layers is 0"),
    ("llama", {"num_hidden_layers": 1e9}, "num_hidden_layers is 1000000000"),
    ("llama", {"num_attention_heads": 3}, "num_attention_heads (3) is no multiple"),
    ("llama", {"vocab_size": 10**12}, "vocab_size is 1000000000000"),
    ("llama", {"vocab_size": None}, "vocab_size is missing"),
    ("llama", {"rms_norm_eps": True}, "rms_norm_eps is True"),
    ("llama", {"rope_scaling": 3}, "rope_scaling is 3, and should be an object"),
    ("llama", {"rope_scaling": {"type": "magic"}}, "rope_type 'magic' is not known"),
    ("llama", {"rope_scaling": {"type": "linear"}}, "config.json: rope_scaling: factor is missing"),
    ("llama", {"rope_theta": -1.0}, "rope_theta"),
    ("llama", {"hidden_act": "relu"}, "hidden_act is 'relu'; the engine runs llama models only with"),
    ("llama", {"head_dim": 15}, "heads of 15 numbers"),
    ("llama", {"attention_bias": True}, "self_attn.q_proj.bias"),
    ("llama3", {"rope_scaling": {"rope_type": "llama3", "factor": 0}}, "don't fit together"),
    ("gemma2", {"query_pre_attn_scalar": 144}, "query_pre_attn_scalar is 144.0, and should be 32"),
    ("phi3", {"rope_scaling": {"type": "longrope", "long_factor": [1.0]}}, "long_factor is [1.0]"),
]


@pytest.mark.parametrize(("name", "fields", "told"), WRONG)
def test_nonsense_in_the_config_is_told_by_its_key(
    name: str, fields: dict[str, Any], told: str, tmp_path: Path
) -> None:
    folder = source(name, tmp_path)
    folder.configure(**fields)
    assert told in refusal(folder)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": ' * 100_000, '{"a": ' + "9" * 10_000 + "}", "\xff"])
def test_a_config_that_is_no_json_object_is_refused(llama: Source, text: str) -> None:
    llama.put("config.json", text.encode("latin-1"))
    assert "config.json" in refusal(llama)


def test_bare_nan_and_infinity_are_read_as_nothing(llama: Source) -> None:
    text = llama.files["config.json"].read_text()
    llama.put(
        "config.json", text.replace("{", '{"attention_dropout": NaN, "time_step_limit": [0, Infinity],', 1)
    )
    llama.convert()


def test_the_place_of_a_file_is_nobodys_business(llama: Source) -> None:
    llama.put("model.safetensors", b"")
    assert str(llama.place) not in refusal(llama)


def test_a_file_of_all_types_that_are_known_is_read_or_refused_by_name(llama: Source) -> None:
    llama.put("model.safetensors", safetensors({"x": ("U8", np.zeros(3)), "y": ("F32", np.zeros(()))}))
    assert "missing tensors" in refusal(llama)
