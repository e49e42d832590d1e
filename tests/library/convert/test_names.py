"""Names of tensors and keys, against the tables of the `gguf` package, which come from the engine's own project."""

from __future__ import annotations

from pathlib import Path

import pytest

import gguf
from tests.library.convert.making import Source, source
from tropa.library.architectures import SUPPORTED
from tropa.library.convert import architectures, weights
from tropa.library.convert.folder import Folder

MODELS = [
    "llama",
    "llama3",
    "llama-bias",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma",
    "gemma2",
    "phi3",
    "glm",
    "glm4",
    "bert",
]


BESIDES = {"bert.normalize_embeddings", "tokenizer.ggml.cls_token_id", "tokenizer.ggml.normalizer.lowercase"}
"""Keys that the reference or a newer engine knows, and the package's tables do not."""


@pytest.mark.parametrize("name", architectures.FAMILIES)
def test_every_family_of_the_table_is_there_and_the_engine_knows_it(name: str) -> None:
    assert architectures.family(name).gguf in SUPPORTED


def table(name: str) -> gguf.TensorNameMap:
    arch = next(arch for arch, text in gguf.MODEL_ARCH_NAMES.items() if text == name)
    return gguf.get_tensor_name_map(arch, 2)


@pytest.mark.parametrize("name", MODELS)
def test_tensors_are_called_what_the_engines_project_calls_them(name: str, tmp_path: Path) -> None:
    folder = Folder(source(name, tmp_path).files)
    architecture = architectures.of(folder)
    names = table(architecture.gguf)
    checked = 0
    for wanted in architecture.tensors(frozenset(weights.read(folder))):
        for each in wanted.sources:
            assert names.get_name(each, try_suffixes=(".weight", ".bias")) == wanted.name
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("name", MODELS)
def test_keys_are_those_of_the_format(name: str, tmp_path: Path) -> None:
    folder: Source = source(name, tmp_path)
    found = folder.read()
    arch = found.fields["general.architecture"].contents()
    known = {
        text.replace("{arch}", arch)
        for group in vars(gguf.Keys).values()
        if isinstance(group, type)
        for text in vars(group).values()
        if isinstance(text, str)
    }
    ours = {f"tokenizer.ggml.{each}_token_ids" for each in ("bos", "eos", "padding")} | BESIDES
    strange = {key for key in found.fields if not key.startswith("GGUF.")} - known - ours
    assert not strange
