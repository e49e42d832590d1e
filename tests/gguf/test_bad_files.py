"""Which error each bad file gets: specific, naming the file, at little cost."""

from __future__ import annotations

import os
import struct
import threading
import tracemalloc
from io import BytesIO
from pathlib import Path

import pytest

from tests.gguf.raw import ARRAY, F32, STRING, U8, U32, Raw, RawTensor, key, sample, string
from tests.support.places import without_privilege
from tropa.gguf import Array, InvalidGGUF, read
from tropa.gguf.cursor import Cursor
from tropa.gguf.errors import (
    AbsurdHeader,
    BadMetadata,
    BadTensor,
    CutShort,
    NotGGUF,
    SplitGGUF,
    UnreadableFile,
    UnsupportedGGUF,
)

HUGE = 2**64 - 1


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf"


def refusal(file: Path, content: bytes | Raw) -> InvalidGGUF:
    file.write_bytes(content.encode() if isinstance(content, Raw) else content)
    with pytest.raises(InvalidGGUF) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}: "), "the message names the file"
    return caught.value


def test_a_list_per_layer_that_is_absurdly_long_is_not_even_read(file: Path) -> None:
    raw = Raw()
    raw.keys.append(string("k") + struct.pack("<IIQ", ARRAY, U32, 1_000_000) + bytes(4_000_000))
    file.write_bytes(raw.encode())
    metadata = read(file).metadata
    tracemalloc.start()
    with pytest.raises(BadMetadata, match="'k' should be an array of whole numbers, one per layer"):
        metadata.integers("k", 4)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize(
    ("name", "words"),
    [("missing.gguf", "no such file"), (".", "is a directory"), ("a\0b", "not a possible file name")],
)
def test_what_is_no_file_is_said_so(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UnreadableFile, match=words):
        read(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_fifo_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    caught: list[BaseException] = []

    def open_it() -> None:
        try:
            read(tmp_path / "fifo")
        except UnreadableFile as exc:
            caught.append(exc)

    thread = threading.Thread(target=open_it, daemon=True)
    thread.start()
    thread.join(5)
    assert caught
    assert "not a regular file" in str(caught[0])


def test_a_forbidden_file_is_said_so(file: Path) -> None:
    file.write_bytes(b"GGUF")
    file.chmod(0)
    with without_privilege(file), pytest.raises(UnreadableFile, match="Permission denied"):
        read(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello, world, this is text", "invalid file magic b'hell'"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git-lfs pointer"),
        (b"<!doctype html><html>", "web page"),
        (b"PK\x03\x04 and more", "zip archive"),
        (b"tjgg\x03\x00\x00\x00 and more of it", "before GGUF"),
    ],
)
def test_other_files_are_named_by_how_they_begin(file: Path, content: bytes, words: str) -> None:
    error = refusal(file, content)
    assert isinstance(error, NotGGUF)
    assert words in str(error)


@pytest.mark.parametrize("version", [0x0300_0000, 0x0200_0000])
def test_big_endian_is_named(file: Path, version: int) -> None:
    error = refusal(file, Raw(version=version))
    assert isinstance(error, UnsupportedGGUF)
    assert "big-endian" in str(error)


@pytest.mark.parametrize("version", [1, 4, 999])
def test_other_versions_are_refused_with_both_numbers(file: Path, version: int) -> None:
    error = refusal(file, Raw(version=version))
    assert isinstance(error, UnsupportedGGUF)
    assert f"version {version}; 2 and 3" in str(error)


def test_a_file_cut_anywhere_is_detected(file: Path) -> None:
    whole = sample().encode()
    for length in range(len(whole)):
        error = refusal(file, whole[:length])
        assert isinstance(error, CutShort | AbsurdHeader | NotGGUF), (length, error)
        assert isinstance(error, NotGGUF) == (length == 0), (length, error)


def test_a_cut_in_the_weights_names_the_tensor_and_both_sizes(file: Path) -> None:
    whole = sample().encode()
    error = refusal(file, whole[:-1])
    assert isinstance(error, CutShort)
    assert f'tensor "b" offset+size ({len(whole)}) exceeds file size ({len(whole) - 1})' in str(error)


def long_key(length: int) -> bytes:
    return struct.pack("<Q", length) + b"abc"


@pytest.mark.parametrize(
    ("raw", "kind", "words"),
    [
        (Raw(tensor_count=HUGE), AbsurdHeader, f"holds {HUGE} tensors"),
        (Raw(key_count=HUGE), AbsurdHeader, f"holds {HUGE} keys"),
        (Raw(key_count=2), CutShort, "the name of key 1"),
        (Raw(keys=[long_key(HUGE)]), CutShort, f"the name of key 0 takes {HUGE} bytes"),
        (Raw(keys=[key("", U8, 1)]), BadMetadata, "key 0 has no name"),
        (Raw(keys=[key("k", U8, 1), key("k", U8, 2)]), BadMetadata, "key 'k' occurs twice"),
        (Raw(keys=[key(b"\xff\xfe", U8, 1)]), BadMetadata, "the name of key 0 is not valid UTF-8"),
        (Raw(keys=[key("k", STRING, b"\xc3(")]), BadMetadata, "key 'k' is not valid UTF-8"),
        (Raw(keys=[string("k") + struct.pack("<I", 13)]), BadMetadata, "key 'k' has an invalid type: 13"),
        (Raw(keys=[string("k") + struct.pack("<I", HUGE >> 32)]), BadMetadata, "invalid type: 4294967295"),
        (
            Raw(keys=[string("k") + struct.pack("<IIQ", ARRAY, U8, HUGE)]),
            AbsurdHeader,
            f"key 'k' says it holds {HUGE} elements",
        ),
        (
            Raw(keys=[string("k") + struct.pack("<IIQ", ARRAY, STRING, 2**40)]),
            AbsurdHeader,
            "key 'k' says it holds 1099511627776 elements",
        ),
        (Raw(keys=[string("k") + struct.pack("<IIQ", ARRAY, 77, 0)]), BadMetadata, "an invalid type: 77"),
        (
            Raw(keys=[string("k") + struct.pack("<IIQQ", ARRAY, STRING, 1, HUGE)]),
            CutShort,
            "key 'k' takes",
        ),
        (Raw(keys=[string("k") + struct.pack("<IQ", STRING, 2**62)]), CutShort, "key 'k' takes"),
        (Raw(keys=[key("k", U8, 1)]), BadMetadata, "'general.architecture' is missing"),
        (Raw(keys=[key("general.architecture", U32, 1)]), BadMetadata, "should be a string"),
    ],
)
def test_bad_metadata_is_named(file: Path, raw: Raw, kind: type[InvalidGGUF], words: str) -> None:
    error = refusal(file, raw)
    assert type(error) is kind
    assert words in str(error)


def test_arrays_nested_without_end_are_refused(file: Path) -> None:
    deep: tuple[int, list[object]] = (U8, [1])
    for _ in range(2):
        deep = (ARRAY, [deep])
    raw = Raw()
    raw.keys.append(key("k", ARRAY, deep))
    file.write_bytes(raw.encode())
    nested = read(file).metadata["k"]
    assert isinstance(nested, Array)
    assert nested.values() == (((1,),),)
    raw.keys[-1] = string("k") + struct.pack("<I", ARRAY) + struct.pack("<IQ", ARRAY, 1) * 100_000
    error = refusal(file, raw)
    assert isinstance(error, BadMetadata)
    assert "nests arrays more than 4 deep" in str(error)


@pytest.mark.parametrize(
    ("alignment", "words"),
    [(0, "not a power of two"), (24, "not a power of two"), (2**30, "the limit is")],
)
def test_a_senseless_alignment_is_refused(file: Path, alignment: int, words: str) -> None:
    raw = Raw()
    raw.keys.append(key("general.alignment", U32, alignment))
    error = refusal(file, raw)
    assert isinstance(error, BadMetadata)
    assert f"'general.alignment' is {alignment}" in str(error)
    assert words in str(error)


@pytest.mark.parametrize("wrong", [key("general.alignment", STRING, "32"), key("general.alignment", F32, 32)])
def test_an_alignment_of_another_type_is_refused(file: Path, wrong: bytes) -> None:
    raw = Raw()
    raw.keys.append(wrong)
    assert "'general.alignment' should be a whole number" in str(refusal(file, raw))


@pytest.mark.parametrize(
    ("tensors", "kind", "words"),
    [
        ([RawTensor("x" * 64)], BadTensor, "longer than 63 bytes"),
        ([RawTensor(b"\xff")], BadMetadata, "the name of tensor 0 is not valid UTF-8"),
        ([RawTensor(dims=(1, 1, 1, 1, 1))], BadTensor, "has 5 dimensions; the limit is 4"),
        ([RawTensor(dims=(32, 0))], BadTensor, "has an empty dimension (32 x 0)"),
        ([RawTensor(dims=(2**62, 4))], AbsurdHeader, "beyond all sizes"),
        ([RawTensor(dims=(2**32, 2**32, 2**32, 2**32))], AbsurdHeader, "beyond all sizes"),
        ([RawTensor(dims=(2**61,))], AbsurdHeader, "beyond all sizes"),
        ([RawTensor(type=43)], BadTensor, "of ggml type 43, which is unknown"),
        ([RawTensor(type=4)], BadTensor, "of ggml type 4, which engines no longer read"),
        ([RawTensor(dims=(31,), type=2)], BadTensor, "rows of 31, not a multiple of 32 as Q4_0 needs"),
        ([RawTensor(offset=8)], BadTensor, "at offset 8, not a multiple of the alignment 32"),
        ([RawTensor(offset=2**63)], CutShort, 'tensor "a" offset+size'),
        ([RawTensor(offset=1024)], CutShort, "exceeds file size"),
        ([RawTensor("a", (32,)), RawTensor("b", (32,), 0, 96)], BadTensor, "'a' and 'b' overlap"),
        ([RawTensor("a", (32,)), RawTensor("a", (32,), 0, 128)], BadTensor, "tensor 'a' occurs twice"),
        ([RawTensor("a", (32,)), RawTensor("b", (32,))], BadTensor, "overlap"),
    ],
)
def test_bad_tensors_are_named(
    file: Path, tensors: list[RawTensor], kind: type[InvalidGGUF], words: str
) -> None:
    error = refusal(file, Raw(tensors=tensors, data=bytes(256)))
    assert type(error) is kind
    assert words in str(error)


def test_one_part_of_a_split_model_says_which(file: Path) -> None:
    raw = Raw()
    raw.keys += [key("split.no", U32, 1), key("split.count", U32, 3), key("split.tensors.count", U32, 9)]
    error = refusal(file, raw)
    assert isinstance(error, SplitGGUF)
    assert "is part 2 of 3 of a split model; all 3 parts are needed" in str(error)
    split = read(file, part=True).split
    assert split is not None
    assert (split.number, split.count, split.tensors) == (2, 3, 9)


def test_the_shrinking_of_a_file_while_it_is_read_is_a_cut(file: Path) -> None:
    cursor = Cursor(BytesIO(b"12345678"), 1000, file)
    with pytest.raises(CutShort):
        cursor.take(16, "something")


@pytest.mark.parametrize(
    ("length", "words"),
    [(20 << 20, "key 'k' is 20971520 bytes long; the limit is"), (8 << 30, "goes beyond 268435456 bytes")],
)
def test_a_length_inside_a_large_file_but_beyond_all_sense_costs_no_memory(
    file: Path, length: int, words: str
) -> None:
    with file.open("wb") as out:
        out.write(Raw(keys=[string("k") + struct.pack("<IQ", STRING, length)]).encode())
        out.truncate(16 << 30)  # a hole: no disk is used
    tracemalloc.start()
    with pytest.raises(AbsurdHeader, match=words):
        read(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_a_reason_quotes_little_of_a_megabyte_of_name(file: Path) -> None:
    """Found by mutants: a key whose length swallowed what follows was quoted whole."""
    file.write_bytes(Raw(keys=[key("k" * (1 << 20), STRING, b"\xff")]).encode())
    with pytest.raises(BadMetadata) as caught:
        read(file)
    assert len(str(caught.value)) < 1200
    assert "not valid UTF-8" in str(caught.value)
