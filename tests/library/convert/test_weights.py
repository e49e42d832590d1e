"""Weights in the file: their types, their order, where they came from, and that they come through unharmed."""

from __future__ import annotations

import math
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import gguf
from tests.library.convert.making import Source, as_gguf, safetensors, source, value
from tropa.gguf import read
from tropa.library.convert import numbers, rope
from tropa.library.convert.config import Config
from tropa.library.convert.convert import convert
from tropa.library.convert.errors import InvalidModelFolder

DOWN = "model.layers.0.mlp.down_proj.weight"


def tensor(reader: gguf.GGUFReader, name: str) -> gguf.ReaderTensor:
    return next(each for each in reader.tensors if each.name == name)


def floats(reader: gguf.GGUFReader, name: str) -> NDArray[np.float32]:
    found = tensor(reader, name)
    values: NDArray[np.float32] = gguf.quants.dequantize(found.data, found.tensor_type)
    return values


@pytest.mark.parametrize(
    ("dtype", "written", "file_type"), [("F32", "F16", 1), ("F16", "F16", 1), ("BF16", "BF16", 32)]
)
def test_matrices_keep_sixteen_bits_and_vectors_thirty_two(
    dtype: str, written: str, file_type: int, tmp_path: Path
) -> None:
    folder = source("llama-bias", tmp_path, dtype=dtype)
    found = folder.read()
    kinds = {len(each.shape): set[str]() for each in found.tensors}
    for each in found.tensors:
        kinds[len(each.shape)].add(each.tensor_type.name)
    assert kinds == {1: {"F32"}, 2: {written}}
    assert value(found, "general.file_type") == file_type
    assert value(found, "general.quantization_version") == 2
    expected = (
        folder.tensors()[DOWN][1] if dtype != "F32" else folder.tensors()[DOWN][1].astype("f2").astype("f4")
    )
    assert (floats(found, "blk.0.ffn_down.weight") == expected).all()


def test_our_own_reader_takes_what_we_write(tmp_path: Path) -> None:
    folder = source("gemma2", tmp_path)
    path, _ = as_gguf(folder.files, tmp_path / "m.gguf")
    found = read(path)
    assert found.version == 3
    assert len(found.tensors) == 24


def test_tensors_are_in_the_order_of_their_blocks(tmp_path: Path) -> None:
    folder = source("llama", tmp_path)
    found = [each.name for each in folder.read().tensors]
    blocks = [int(name.split(".")[1]) if name.startswith("blk") else 99 for name in found]
    assert blocks == sorted(blocks)
    assert found[-3:] == ["output.weight", "output_norm.weight", "token_embd.weight"]


def test_numbers_too_large_for_sixteen_bits_keep_all_their_bits(tmp_path: Path) -> None:
    """65520 and more would become infinite."""
    folder = source("llama", tmp_path)

    def enlarge(tensors: dict[str, tuple[str, NDArray[Any]]]) -> None:
        tensors[DOWN] = "F32", np.where(np.arange(128) == 5, np.float32(1e6), tensors[DOWN][1])

    folder.change(enlarge)
    found = folder.read()
    assert tensor(found, "blk.0.ffn_down.weight").tensor_type.name == "F32"
    assert tensor(found, "blk.1.ffn_down.weight").tensor_type.name == "F16"
    assert floats(found, "blk.0.ffn_down.weight").max() == 1e6


def test_shards_make_the_same_model_as_one_file(tmp_path: Path) -> None:
    folder = source("qwen3", tmp_path)
    one, two = BytesIO(), BytesIO()
    folder.change(lambda tensors: None)
    convert(folder.files, one)
    tensors = folder.tensors()
    names = sorted(tensors)
    del folder.files["model.safetensors"]
    files = {f"model-0000{i}-of-00003.safetensors": names[i - 1 :: 3] for i in (1, 2, 3)}
    for file, some in files.items():
        folder.put(file, safetensors({name: tensors[name] for name in some}))
    folder.put("consolidated.safetensors", b"another copy, that the index doesn't name")
    folder.put(
        "model.safetensors.index.json",
        {"weight_map": {name: file for file, some in files.items() for name in some}},
    )
    convert(folder.files, two)
    assert one.getvalue() == two.getvalue()


def test_tied_models_have_no_output_and_untied_ones_do(tmp_path: Path) -> None:
    names = {each.name for each in source("qwen2", tmp_path / "tied").read().tensors}
    assert "output.weight" not in names
    folder = source("llama", tmp_path / "untied")
    assert "output.weight" in {each.name for each in folder.read().tensors}
    folder.configure(tie_word_embeddings=True)  # some savers write the output although it is the embedding
    assert "output.weight" not in {each.name for each in folder.read().tensors}
    folder.configure(tie_word_embeddings=None)
    folder.change(lambda tensors: tensors.pop("lm_head.weight"))
    assert "output.weight" not in {each.name for each in folder.read().tensors}


def float8(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The nearest codes."""
    table = numbers.wide("F8_E4M3", np.arange(256, dtype="u1"))
    table = np.where(np.isnan(table), np.inf, table)
    found: NDArray[np.uint8] = np.abs(values[..., None] - table).argmin(-1).astype("u1")
    return found


SCALES = [
    ("_scale_inv", (4, 2), {"weight_block_size": [16, 64]}),
    ("_scale", (64, 1), {"quant_method": "compressed-tensors"}),
    ("_scale", (), None),
    (
        ".scale",
        (4, 2),
        {"config_groups": {"group_0": {"weights": {"block_structure": [16, 64], "strategy": "block"}}}},
    ),
]


@pytest.mark.parametrize(("ending", "shape", "settings"), SCALES)
def test_eight_bits_become_sixteen_with_their_scales(
    ending: str, shape: tuple[int, ...], settings: dict[str, Any] | None, tmp_path: Path
) -> None:
    folder = source("llama", tmp_path)
    folder.configure(quantization_config=settings)
    rows, columns = 64, 128
    scale = (2.0 ** np.arange(math.prod(shape)).reshape(shape) % 7 + 1).astype("f4")
    codes = float8(np.linspace(-2, 2, rows * columns, dtype="f4").reshape(rows, columns))

    def pack(tensors: dict[str, tuple[str, NDArray[Any]]]) -> None:
        tensors[DOWN] = "F8_E4M3", codes
        tensors[DOWN + ending] = "F32", scale
        tensors["model.layers.0.mlp.down_proj.input_scale"] = "F32", np.ones(())

    folder.change(pack)
    full = np.broadcast_to(scale, shape or (1, 1))
    full = full.repeat(rows // full.shape[0], 0).repeat(columns // full.shape[1], 1)
    expected = numbers.wide("F8_E4M3", codes) * full
    found = folder.read()
    assert tensor(found, "blk.0.ffn_down.weight").tensor_type.name == "BF16"
    assert floats(found, "blk.0.ffn_down.weight") == pytest.approx(expected, rel=2**-8)
    assert value(found, "llama.source_quantization") == "hf_fp8"
    assert value(found, "llama.source_fp8_tensors") == [DOWN]
    assert folder.convert().fp8


def test_the_values_of_eight_bits_are_those_of_torch() -> None:
    """Zero, the least, the largest, one, and not a number."""
    codes = np.array([0x00, 0x80, 0x01, 0x08, 0x38, 0xB8, 0x7E, 0xFE, 0x7F], "u1")
    found = numbers.wide("F8_E4M3", codes)
    assert found[:8].tolist() == [0, -0.0, 2**-9, 2**-6, 1, -1, 448, -448]
    assert np.isnan(found[8])


def test_eight_bits_without_scales_or_block_size_are_refused(tmp_path: Path) -> None:
    folder = source("llama", tmp_path)
    folder.change(lambda tensors: tensors.update({DOWN: ("F8_E4M3", np.ones((64, 128)))}))
    with pytest.raises(InvalidModelFolder, match=f'missing fp8 scale companion for tensor "{DOWN}"'):
        folder.convert()
    scale = {DOWN: ("F8_E4M3", np.ones((64, 128))), f"{DOWN}_scale_inv": ("F32", np.ones((4, 2)))}
    folder.change(lambda tensors: tensors.update(scale))
    with pytest.raises(InvalidModelFolder, match=f'missing fp8 block size metadata for tensor "{DOWN}"'):
        folder.convert()
    folder.configure(quantization_config={"weight_block_size": [128, 128]})
    with pytest.raises(InvalidModelFolder, match=r"has shape \[4, 2\]; .* needs \[1, 1\] scales"):
        folder.convert()


def test_bfloat16_is_rounded_to_the_nearest_even() -> None:
    values = np.array([1.0, 1.00390625, 1.01171875, 3.4e38, np.inf, np.nan, -0.0], "f4")
    found = numbers.wide("BF16", numbers.narrow(values))
    assert found[:3].tolist() == [1.0, 1.0, 1.015625]
    assert np.isinf(found[4])
    assert np.isnan(found[5])
    assert np.signbit(found[6])


def test_rows_are_interleaved_for_the_rotation_of_neighbours() -> None:
    rows = np.arange(8.0).reshape(8, 1)
    assert rope.interleaved(rows, 1).ravel().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]
    assert rope.interleaved(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    assert rope.interleaved(rows.ravel(), 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def mixtral(folder: Source, experts: int = 11) -> None:
    """Turn a Mistral into a Mixtral: its experts are the one feed-forward, times their number."""
    folder.configure(
        architectures=["MixtralForCausalLM"],
        model_type="mixtral",
        num_local_experts=experts,
        num_experts_per_tok=2,
    )

    def split(tensors: dict[str, tuple[str, NDArray[Any]]]) -> None:
        for i in range(2):
            at = f"model.layers.{i}"
            parts = {"w1": "gate", "w2": "down", "w3": "up"}
            for short, name in parts.items():
                matrix = tensors.pop(f"{at}.mlp.{name}_proj.weight")[1]
                for n in range(experts):
                    tensors[f"{at}.block_sparse_moe.experts.{n}.{short}.weight"] = "F32", matrix * (n + 1)
            tensors[f"{at}.block_sparse_moe.gate.weight"] = "F32", np.ones((experts, 64))

    folder.change(split)


def test_experts_are_stacked_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    folder = source("mistral", tmp_path)
    up = folder.tensors()["model.layers.1.mlp.up_proj.weight"][1]
    down = folder.tensors()["model.layers.1.mlp.down_proj.weight"][1]
    mixtral(folder)
    found = folder.read()
    assert value(found, "llama.expert_count") == 11
    assert value(found, "llama.expert_used_count") == 2
    assert tensor(found, "blk.1.ffn_gate_inp.weight").tensor_type.name == "F32"
    for name, matrix in (("up", up), ("down", down)):
        stacked = floats(found, f"blk.1.ffn_{name}_exps.weight")
        assert stacked.shape == (11, *matrix.shape)
        for n in (0, 2, 10):
            assert stacked[n] == pytest.approx(matrix * (n + 1), rel=1e-3)


def test_a_missing_expert_is_named(tmp_path: Path) -> None:
    folder = source("mistral", tmp_path)
    mixtral(folder, 4)
    name = "model.layers.1.block_sparse_moe.experts.3.w2.weight"
    folder.change(lambda tensors: tensors.pop(name))
    with pytest.raises(InvalidModelFolder, match=name):
        folder.convert()


def test_the_factors_of_a_long_rotation_are_tensors(tmp_path: Path) -> None:
    folder = source("phi3", tmp_path)
    scaling = {"type": "longrope", "long_factor": [2.0 + i for i in range(8)], "short_factor": [1.0] * 8}
    folder.configure(rope_scaling=scaling, original_max_position_embeddings=128)
    found = folder.read()
    assert floats(found, "rope_factors_long.weight").tolist() == scaling["long_factor"]
    assert floats(found, "rope_factors_short.weight").tolist() == [1.0] * 8
    assert value(found, "phi3.rope.scaling.original_context_length") == 128
    expected = math.sqrt(1 + math.log(512 / 128) / math.log(128))
    assert value(found, "phi3.rope.scaling.attn_factor") == pytest.approx(expected)


@pytest.mark.parametrize("spelling", ["rope_scaling", "rope_parameters"])
def test_linear_and_yarn_scaling_are_keys_of_the_engine(spelling: str, tmp_path: Path) -> None:
    folder = source("llama", tmp_path)
    folder.configure(**{spelling: {"rope_type": "linear", "factor": 4}})
    found = folder.read()
    assert value(found, "llama.rope.scaling.type") == "linear"
    assert value(found, "llama.rope.scaling.factor") == 4
    yarn = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64, "rope_theta": 5000.0}
    folder.configure(**{spelling: yarn, "rope_theta": 5000.0})
    found = folder.read()
    assert value(found, "llama.rope.scaling.type") == "yarn"
    assert value(found, "llama.rope.scaling.original_context_length") == 64
    assert value(found, "llama.rope.freq_base") == 5000


def test_llama3_divides_low_frequencies_only() -> None:
    found = rope.llama3(rope.read(Config({"rope_scaling": {"rope_type": "llama3"}, "rope_theta": 5e5})), 128)
    assert found.shape == (64,)
    assert found[0] == 1
    assert found[-1] == 8
    assert (np.diff(found) >= 0).all()


def test_progress_reaches_the_end_and_may_stop_the_work(tmp_path: Path) -> None:
    folder = source("llama", tmp_path, dtype="F32")
    seen: list[tuple[str, int, int]] = []
    convert(folder.files, BytesIO(), progress=lambda *each: seen.append(each))
    assert {status for status, _, _ in seen} == {"converting model"}
    done = [each for _, each, _ in seen]
    assert done == sorted(done)
    assert done[-1] == seen[-1][2]

    class Gone(Exception):
        pass

    def leave(status: str, completed: int, total: int) -> None:
        raise Gone

    with pytest.raises(Gone):
        convert(folder.files, BytesIO(), progress=leave)


GREEDY = """
import resource, sys
from pathlib import Path
from tropa.library.convert.convert import convert
files = {name: Path(path) for name, path in zip(sys.argv[1::2], sys.argv[2::2])}
class Nowhere:
    def write(self, data): pass
small = {**files, "model.safetensors": files.pop("small"), "config.json": files.pop("small.json")}
convert(small, Nowhere())
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
convert(files, Nowhere())
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10)
"""


def test_memory_follows_the_largest_tensor_and_not_the_model(tmp_path: Path) -> None:
    """12 layers of 6 MB matrices: 220 MB in all."""
    folder = source("llama", tmp_path)
    folder.put("small.json", folder.config)
    small, small_config = folder.files["model.safetensors"], folder.files["small.json"]
    folder.configure(num_hidden_layers=12, intermediate_size=49152)
    wide = np.zeros((49152, 64), "f4")

    def grow(tensors: dict[str, tuple[str, NDArray[Any]]]) -> None:
        one = {name: each for name, each in tensors.items() if ".layers.0." in name}
        for i in range(12):
            for name, each in one.items():
                tensors[name.replace(".0.", f".{i}.")] = each
            for part, matrix in (("gate", wide), ("up", wide), ("down", wide.T)):
                tensors[f"model.layers.{i}.mlp.{part}_proj.weight"] = "F16", matrix

    folder.change(grow)
    assert folder.files["model.safetensors"].stat().st_size > 200 << 20
    arguments = {**folder.files, "small": small, "small.json": small_config}
    command = [sys.executable, "-c", GREEDY, *(str(word) for pair in arguments.items() for word in pair)]
    reply = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert int(reply.stdout) < 48 << 20
