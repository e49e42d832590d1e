"""Headers that lie: each is refused with what is wrong with it, and nothing in it is followed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.library.convert.making import safetensors
from tropa.library.convert.errors import InvalidSafetensors
from tropa.library.convert.safetensors import HEADER, read

GOOD = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(InvalidSafetensors) as error:
        read(path, "w.safetensors")
    assert str(error.value).startswith("w.safetensors: ")
    return str(error.value)


def with_header(header: Any, data: bytes = bytes(32)) -> bytes:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def test_a_good_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "w"
    matrix, scalar = np.arange(6.0).reshape(2, 3), np.array(7.0)
    path.write_bytes(safetensors({"a": ("F32", matrix), "b": ("F16", scalar), "c": ("U8", np.zeros((0, 4)))}))
    found = read(path, "w.safetensors")
    assert [*found] == ["a", "b", "c"]
    assert (found["a"].read() == matrix).all()
    assert found["b"].shape == ()
    assert found["b"].read() == 7
    assert found["c"].nbytes == 0


LIES: list[tuple[dict[str, Any], str]] = [
    ({"dtype": "F64"}, 'tensor "t" of shape [2, 2] and type F64 can\'t take 16 bytes'),
    ({"dtype": "Q4_0"}, 'unknown data type: Q4_0 (tensor "t")'),
    ({"dtype": 7}, 'tensor "t" has no dtype'),
    ({"dtype": None}, 'tensor "t" has no dtype'),
    ({"shape": [2, -2]}, "whole numbers"),
    ({"shape": [2, True]}, "whole numbers"),
    ({"shape": [2.0, 2]}, "whole numbers"),
    ({"shape": "22"}, "whole numbers"),
    ({"shape": [4, 4]}, "of shape [4, 4] and type F32 can't take 16 bytes"),
    ({"shape": [2**70, 0]}, "of shape [beyond 2^64, 0]"),
    ({"shape": [1] * 5}, "has 5 dimensions; the limit is 4"),
    ({"data_offsets": [16, 0]}, "lies at bytes 16 to 0 of 32"),
    ({"data_offsets": [0, 2**80]}, "lies at bytes 0 to beyond 2^64 of 32"),
    ({"data_offsets": [24, 40]}, "lies at bytes 24 to 40 of 32 (the file is cut short?)"),
    ({"data_offsets": [-16, 0]}, "has no pair of data_offsets"),
    ({"data_offsets": [0, 8, 16]}, "has no pair of data_offsets"),
    ({"data_offsets": None}, "has no pair of data_offsets"),
]


@pytest.mark.parametrize(("lie", "told"), LIES)
def test_a_tensor_that_lies_is_named(lie: dict[str, Any], told: str, tmp_path: Path) -> None:
    assert told in refusal(tmp_path / "w", with_header({"t": GOOD | lie}))


def test_tensors_on_the_same_bytes_are_refused(tmp_path: Path) -> None:
    """A small file could promise any number of gigabytes."""
    other = GOOD | {"data_offsets": [12, 28]}
    assert 'tensors "a" and "b" overlap' in refusal(tmp_path / "w", with_header({"a": GOOD, "b": other}))


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    entry = json.dumps(GOOD)
    assert 'names "t" twice' in refusal(
        tmp_path / "w", with_header(f'{{"t": {entry}, "t": {entry}}}'.encode())
    )


HEADERS = [
    (b"", "takes 0 bytes, and the file has 0"),
    (b"1234567", "and the file has 7"),
    ((2**63).to_bytes(8, "little") + b"{}", "takes 9223372036854775808 bytes, and the file has 10"),
    ((3).to_bytes(8, "little") + b"{}", "takes 3 bytes, and the file has 10"),
    (with_header(b"\xff\xfe"), "its header is no JSON"),
    (with_header(b"{"), "its header is no JSON"),
    (with_header(b"[" * 100_000), "its header is no JSON"),
    (with_header(b'{"t":' + b"9" * 10_000 + b"}"), "its header is no JSON"),
    (with_header([]), "its header is no JSON object"),
    (with_header({"t": []}), "is described by no object"),
]


@pytest.mark.parametrize(("content", "told"), HEADERS)
def test_a_header_that_is_none_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    if content == b"":
        told = "the file has 0"
    assert told in refusal(tmp_path / "w", content)


def test_a_huge_header_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes((HEADER + 1).to_bytes(8, "little"))
    os.truncate(path, HEADER + 9)  # a file with a hole: it takes no room
    with pytest.raises(InvalidSafetensors, match=f"a header of {HEADER + 1} bytes; the limit is {HEADER}"):
        read(path, "w.safetensors")


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, told in (
        (tmp_path, "not a regular file"),
        (tmp_path / "pipe", "not a regular"),
        (tmp_path / "x", "No such"),
    ):
        with pytest.raises(InvalidSafetensors, match=told):
            read(path, "w.safetensors")


def test_a_file_that_shrinks_after_it_was_opened_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(safetensors({"a": ("F32", np.ones(100))}))
    found = read(path, "w.safetensors")["a"]
    os.truncate(path, path.stat().st_size - 4)
    with pytest.raises(InvalidSafetensors, match='is cut short in tensor "a"'):
        found.read()
