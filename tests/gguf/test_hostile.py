"""Whatever the bytes: the reader answers with a header or with one of its own errors, soon and in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gguf.raw import ARRAY, STRING, U32, Raw, RawTensor, key, sample, string
from tropa.gguf import GGUF, Array, InvalidGGUF, read
from tropa.gguf.errors import BadMetadata
from tropa.gguf.memory import Load, predict
from tropa.runners.demand import demand_of
from tropa.scheduler.demand import need

WHOLE = sample().encode()
relaxed = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@contextmanager
def frugal() -> Iterator[None]:
    """Memory follows the bytes that are there, never a number among them."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def read_all(file: Path, content: bytes) -> GGUF | None:
    file.write_bytes(content)
    with frugal(), suppress(InvalidGGUF):
        gguf = read(file)
        for value in gguf.metadata.values():
            if isinstance(value, Array):
                with suppress(InvalidGGUF):
                    assert len(value.values()) == len(value)
        return gguf
    return None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hostile.gguf"


@relaxed
@given(st.binary(max_size=400))
def test_any_bytes_after_the_magic(file: Path, noise: bytes) -> None:
    read_all(file, WHOLE[:8] + noise)
    read_all(file, WHOLE[:24] + noise)


@relaxed
@given(st.data())
def test_a_good_file_with_some_bytes_changed(file: Path, data: st.DataObject) -> None:
    spoilt = bytearray(WHOLE)
    for at in data.draw(st.lists(st.integers(0, len(WHOLE) - 1), min_size=1, max_size=4)):
        spoilt[at] = data.draw(st.sampled_from([0, 1, 8, 9, 127, 128, 255]))
    gguf = read_all(file, bytes(spoilt))
    if gguf is not None:  # then what it says must be possible
        for tensor in gguf.tensors:
            assert gguf.data_offset + tensor.offset + tensor.nbytes <= len(spoilt)


@relaxed
@given(st.integers(0, len(WHOLE) - 8), st.integers(0, 2**64 - 1))
def test_any_number_in_place_of_any_count_or_length(file: Path, at: int, number: int) -> None:
    read_all(file, WHOLE[:at] + number.to_bytes(8, "little") + WHOLE[at + 8 :])


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=15)


@relaxed
@given(
    st.dictionaries(names, st.text(st.characters(exclude_categories=["Cs"]), max_size=50), max_size=5),
    st.dictionaries(names, st.lists(names, max_size=80), max_size=3),
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), max_size=5),
)
def test_what_is_written_well_is_read_back(
    file: Path, texts: dict[str, str], lists: dict[str, list[str]], shapes: list[tuple[int, int]]
) -> None:
    raw = Raw()
    raw.keys += [key(f"t.{name}", STRING, text) for name, text in texts.items()]
    raw.keys += [key(f"l.{name}", ARRAY, (STRING, items)) for name, items in lists.items()]
    end = 0
    for i, dims in enumerate(shapes):
        raw.tensors.append(RawTensor(f"t{i}", dims, 0, end))
        end += -(-dims[0] * dims[1] * 4 // 32) * 32
    raw.data = bytes(end)
    gguf = read_all(file, raw.encode())
    assert gguf is not None
    for name, text in texts.items():
        assert gguf.metadata[f"t.{name}"] == text
    for name, items in lists.items():
        array = gguf.metadata[f"l.{name}"]
        assert isinstance(array, Array)
        assert array.values() == tuple(items)
    assert [tensor.dims for tensor in gguf.tensors] == shapes


@relaxed
@given(st.lists(st.integers(0, 300), max_size=30), st.integers(1, 64))
def test_strings_are_passed_over_wherever_a_buffer_ends(file: Path, lengths: list[int], chunk: int) -> None:
    raw = Raw()
    head = key("words", ARRAY, (STRING, ["w" * length for length in lengths]))
    raw.keys += [head, key("after", STRING, "found")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tropa.gguf.cursor.CHUNK", chunk)
        gguf = read_all(file, raw.encode())
    assert gguf is not None
    assert gguf.metadata["after"] == "found"


OWN = [
    "block_count",
    "embedding_length",
    "feed_forward_length",
    "context_length",
    "vocab_size",
    "expert_count",
    "expert_used_count",
    "expert_feed_forward_length",
    "pooling_type",
    "full_attention_interval",
    *(f"attention.{name}" for name in ("head_count", "head_count_kv", "key_length", "value_length")),
    *(f"attention.{name}" for name in ("sliding_window", "sliding_window_pattern", "shared_kv_layers")),
    *(f"ssm.{name}" for name in ("conv_kernel", "inner_size", "state_size", "group_count")),
    "wkv.head_size",
    "shortconv.l_cache",
]
small = st.integers(0, 20)
numbers = st.one_of(small, st.integers(0, 2**32 - 1), st.lists(small, max_size=30))


@relaxed
@given(
    st.sampled_from(["llama", "gemma2", "gemma3", "bert", "mamba2", "qwen3next", "nemotron_h", "clip", "?"]),
    st.dictionaries(st.sampled_from(OWN), numbers),
)
def test_whatever_the_numbers_of_a_model_a_prediction_is_a_size_or_a_named_error(
    file: Path, architecture: str, own: dict[str, int | list[int]]
) -> None:
    raw = Raw(keys=[key("general.architecture", STRING, architecture)])
    for name, value in ({"block_count": 3, "embedding_length": 64} | own).items():
        content = (ARRAY, (U32, value)) if isinstance(value, list) else (U32, value)
        raw.keys.append(key(f"{architecture}.{name}", *content))
    file.write_bytes(raw.encode())
    with frugal(), suppress(BadMetadata):
        assert predict(read(file), Load(4096, slots=4)).most > 0
        assert need(demand_of(file), 4096, 4, 512).host(0, False) > 0


def test_many_tiny_keys_are_bounded_by_the_file(file: Path) -> None:
    raw = Raw(key_count=2**40)
    raw.keys += [string(str(i)) + bytes(5) for i in range(1000)]
    assert read_all(file, raw.encode()) is None
