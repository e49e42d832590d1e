"""Split GGUFs: all parts together are the one model again, and what is wrong with a set is said."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from tests.library.making import broken, make, unused, upload
from tests.support import models
from tropa.gguf import GGUF, read
from tropa.gguf import rewrite as new
from tropa.library.errors import InvalidRecipe, UnsupportedArchitecture
from tropa.library.library import Library
from tropa.library.shards import ShardName, siblings


def split(path: Path, count: int, /, **wrong: dict[int, int]) -> dict[str, bytes]:
    """A model as llama.cpp splits it: the first part has all the keys. `wrong` overrides a `split.` key of a part."""
    gguf = read(path)
    shares = [gguf.tensors[n::count] for n in range(count)]
    parts: dict[str, bytes] = {}
    for n, share in enumerate(shares):
        said = {"no": n, "count": count, "tensors.count": len(gguf.tensors)}
        said |= {key.replace("_", "."): values[n] for key, values in wrong.items() if n in values}
        own = [new.u32(f"split.{key}", value) for key, value in said.items() if value >= 0]
        placed = new.placed(share, 32)
        data = b"".join(_bytes(gguf, tensor) for tensor in share)
        parts[f"m-{n + 1:05}-of-{count:05}.gguf"] = (
            new.header([*(new.keys(gguf) if n == 0 else []), *own], placed, 32) + data
        )
    return parts


def _bytes(gguf: GGUF, tensor: Any) -> bytes:
    start = gguf.data_offset + tensor.offset
    data = gguf.path.read_bytes()[start : start + tensor.nbytes]
    return data + bytes(-len(data) % 32)


def contents(gguf: GGUF) -> dict[str, bytes]:
    return {tensor.name: _bytes(gguf, tensor) for tensor in gguf.tensors}


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return models.llama(tmp_path / "whole.gguf", width=64, vocab=400, layers=1)


def uploaded(library: Library, parts: dict[str, bytes]) -> dict[str, str]:
    return {name: upload(library, data) for name, data in parts.items()}


@pytest.mark.parametrize("order", [1, -1])
def test_all_parts_together_are_the_model_again(library: Library, whole: Path, order: int) -> None:
    parts = dict(list(split(whole, 3).items())[::order])
    assert "joining 3 parts" in make(library, "x", files=uploaded(library, parts))
    model = library.find("x")
    assert model.weights is not None
    made, before = read(model.weights.path), read(whole)
    assert [key.raw for key in new.keys(made)] == [key.raw for key in new.keys(before)]
    assert contents(made) == contents(before)
    assert broken(library.store) == []
    assert len(unused(library.store)) == 3, "the parts as they were uploaded: the next prune takes them"


def test_a_split_model_may_be_quantized_at_once(library: Library, whole: Path) -> None:
    make(library, "x", files=uploaded(library, split(whole, 2)), quantize="Q8_0")
    make(library, "y", whole.read_bytes(), quantize="Q8_0")
    assert library.find("x").weights == library.find("y").weights
    assert [name for name in unused(library.store) if name.startswith(".tropa-")] == []


@pytest.mark.parametrize(
    ("wrong", "files", "says"),
    [
        (
            {},
            {"m-00001-of-00003.gguf": "a.gguf"},
            'split GGUF "a.gguf" must use llama.cpp split filename pattern',
        ),
        ({"count": {0: 4}}, {}, "filename count 3 does not match metadata count 4"),
        ({"no": {1: -1}}, {}, 'split GGUF "m-00002-of-00003.gguf" is missing split.no metadata'),
        (
            {"no": {1: 2}},
            {},
            'split GGUF "m-00002-of-00003.gguf" filename index 2 does not match metadata index 3',
        ),
        (
            {},
            {"m-00002-of-00003.gguf": "b/m-00001-of-00003.gguf"},
            "filename index 1 does not match metadata index 2",
        ),
        ({}, {"m-00001-of-00003.gguf": ""}, "split GGUF is missing first shard"),
        ({}, {"m-00003-of-00003.gguf": ""}, "is missing shard 3"),
        ({}, {"m-00002-of-00003.gguf": "m-00009-of-00003.gguf"}, "has invalid shard index 9"),
        ({"tensors_count": {0: 99}}, {}, "expected 99"),
    ],
)
def test_what_is_wrong_with_a_set_is_said(
    library: Library, whole: Path, wrong: dict[str, dict[int, int]], files: dict[str, str], says: str
) -> None:
    parts = split(whole, 3, **wrong)
    renamed = {files.get(name, name): data for name, data in parts.items() if files.get(name, name)}
    with pytest.raises(InvalidRecipe) as caught:
        make(library, "x", files=uploaded(library, renamed))
    assert says in str(caught.value)
    assert library.models() == []


def test_a_part_that_comes_twice_is_named(library: Library, whole: Path) -> None:
    files = uploaded(library, split(whole, 2))
    files["again/m-00001-of-00002.gguf"] = files["m-00001-of-00002.gguf"]
    with pytest.raises(InvalidRecipe, match="split GGUF has duplicate shard index 1"):
        make(library, "x", files=files)


def test_a_part_of_another_split_is_named(library: Library, whole: Path) -> None:
    files = uploaded(library, split(whole, 2))
    files |= {
        name: digest for name, digest in uploaded(library, split(whole, 3)).items() if "00003-of" in name
    }
    with pytest.raises(InvalidRecipe, match="has 3 shards, expected 2"):
        make(library, "x", files=files)


def test_tensors_that_are_in_two_parts_are_named(library: Library, whole: Path) -> None:
    one, two = split(whole, 2), split(whole, 2)
    second = bytearray(one["m-00002-of-00002.gguf"])
    name = read(whole).tensors[1].name.encode()
    other = read(whole).tensors[0].name.encode()
    at = second.index(struct.pack("<Q", len(name)) + name)
    second[at : at + 8 + len(name)] = struct.pack("<Q", len(other)) + other
    two["m-00002-of-00002.gguf"] = bytes(second) + bytes(64)
    with pytest.raises(InvalidRecipe, match="is in two shards"):
        make(library, "x", files=uploaded(library, two))


def test_an_architecture_nobody_knows_is_refused_before_anything_is_joined(
    library: Library, whole: Path
) -> None:
    parts = {name: data.replace(b"llama", b"lxama") for name, data in split(whole, 2).items()}
    with pytest.raises(UnsupportedArchitecture, match="lxama"):
        make(library, "x", files=uploaded(library, parts))


def test_file_names_of_parts_are_read_and_written() -> None:
    assert ShardName.parse("a/b-c-00002-of-00010.gguf") == ShardName("b-c", 2, 10)
    assert ShardName.parse("b-2-of-10.gguf") is None
    assert ShardName("b", 1, 10).sibling(10) == "b-00010-of-00010.gguf"
    assert siblings(Path("/nowhere/m.gguf")) == [Path("/nowhere/m.gguf")]
