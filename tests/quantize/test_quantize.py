"""The quantizer against what llama.cpp's own tool makes of the same models, and what happens when it cannot."""

from __future__ import annotations

import io
import json
import os
import platform
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import gguf
from tests.quantize.make_golden import GOLDEN, chosen, ours, types, weights
from tests.quantize.outlines import OUTLINES
from tests.quantize.sources import SOURCES, make
from tests.support import models
from tests.support.processes import descendants, gone
from tropa.gguf import InvalidGGUF, read
from tropa.quantize import quantize as quantizer
from tropa.quantize.errors import CannotQuantize, QuantizerFailed, UnknownQuantization
from tropa.quantize.filetype import KNOWN, NEED_IMPORTANCE, file_type
from tropa.quantize.quantize import plan, quantize

THOROUGH = ("glm4", "odd")
OFTEN = ("F32", "Q8_0", "Q4_K_M")
X86 = sys.platform == "linux" and platform.machine() == "x86_64"


@pytest.mark.parametrize("name", SOURCES)
def test_every_type_is_what_the_engines_own_tool_makes(name: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())[name]
    source = make(name, tmp_path)
    assert weights(read(source)) == golden["source"], "the sources changed: run make_golden.py again"
    result = tmp_path / "result.gguf"
    for kind in KNOWN:
        if golden[kind] is None:
            with pytest.raises(CannotQuantize):
                plan(read(source), KNOWN[kind])
            continue
        planned = Counter(each.type.name for each in plan(read(source), KNOWN[kind]).targets)
        assert (
            " ".join(f"{each}:{count}" for each, count in sorted(planned.items())) == golden[kind]["types"]
        ), kind
        if X86 and (name in THOROUGH or kind in OFTEN):  # elsewhere compilers may round differently
            result.write_bytes(ours(source, kind))
            assert weights(read(result)) == golden[kind], kind


@pytest.mark.parametrize("name", OUTLINES)
def test_every_tensor_of_models_of_all_sizes_gets_the_type_that_the_tool_would_choose(
    name: str, tmp_path: Path
) -> None:
    golden = json.loads(GOLDEN.read_text())["outlines"][name]
    path = OUTLINES[name].write(tmp_path / "outline.gguf")
    for kind in KNOWN:
        if golden[kind] is None:
            with pytest.raises(CannotQuantize):
                chosen(path, kind)
        else:
            assert types(chosen(path, kind)) == golden[kind], kind


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return models.llama(tmp_path / "llama.gguf", width=256, vocab=400)


def test_the_header_says_what_became_of_the_weights(source: Path, tmp_path: Path) -> None:
    planned = plan(read(source), KNOWN["Q4_K_M"])
    out = io.BytesIO()
    told = list(quantize(planned, out))
    assert len(out.getvalue()) == planned.size
    assert told == sorted(told)
    assert told[-1] == read(source).tensor_bytes
    result = tmp_path / "result.gguf"
    result.write_bytes(out.getvalue())
    made, before = read(result), read(source)
    assert made.file_type == "Q4_K_M"
    assert made.metadata["general.quantization_version"] == 2
    changed = {"general.file_type", "general.quantization_version"}
    for key in before.metadata.keys() - changed:
        ours, theirs = made.metadata[key], before.metadata[key]
        assert getattr(ours, "values", lambda: ours)() == getattr(theirs, "values", lambda: theirs)()  # noqa: B023


@pytest.mark.parametrize("threads", [1, 3])
def test_the_result_does_not_depend_on_the_threads(source: Path, threads: int) -> None:
    out = io.BytesIO()
    for _ in quantize(plan(read(source), KNOWN["Q5_K_M"]), out, threads=threads):
        pass
    assert out.getvalue() == ours(source, "Q5_K_M")


def test_what_is_packed_already_is_refused(source: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.gguf"
    packed.write_bytes(ours(source, "Q8_0"))
    with pytest.raises(
        CannotQuantize, match=r"only supported for F16, BF16 and F32 models: .* is Q8_0 already"
    ):
        plan(read(packed), KNOWN["Q4_0"])
    assert plan(read(packed), KNOWN["Q8_0"]).idle


def test_eyes_and_ears_inside_a_text_model_are_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "seeing.gguf"
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_block_count(1)
    for name in (
        "blk.0.attn_q.weight",
        "v.blk.0.attn_q.weight",
        "mm.input_projection.weight",
        "a.blk.0.ffn_up.weight",
    ):
        writer.add_tensor(name, np.ones((4, 256), np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    types = {each.tensor.name: each.type.name for each in plan(read(path), KNOWN["Q4_0"]).targets}
    assert types == {
        "blk.0.attn_q.weight": "Q4_0", "v.blk.0.attn_q.weight": "F16", "mm.input_projection.weight": "F16",
        "a.blk.0.ffn_up.weight": "F16",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "name"), [("q4_k_m", "Q4_K_M"), ("Q4_K", "Q4_K_M"), ("f16", "F16"), ("q3_k", "Q3_K_M")]
)
def test_types_are_known_in_any_case_and_by_their_short_names(text: str, name: str) -> None:
    assert file_type(text).name == name


@pytest.mark.parametrize("text", ["", "Q4", "Q4_K_X", "int8", *NEED_IMPORTANCE])
def test_types_that_cannot_be_made_are_refused(text: str) -> None:
    says = "importance matrix" if text in NEED_IMPORTANCE else "supported types are F32, F16"
    with pytest.raises(UnknownQuantization, match=says):
        file_type(text)


def test_weights_that_are_no_numbers_are_named(source: Path) -> None:
    header = read(source)
    tensor = next(each for each in header.tensors if each.name == "blk.1.ffn_up.weight")
    data = bytearray(source.read_bytes())
    data[header.data_offset + tensor.offset : header.data_offset + tensor.offset + 2] = b"\xff\x7f"  # NaN
    source.write_bytes(data)
    with pytest.raises(
        QuantizerFailed, match=r"tensor 'blk\.1\.ffn_up\.weight' holds numbers that are not finite"
    ):
        ours(source, "Q4_K_M")


def test_a_file_that_shrinks_meanwhile_is_an_error(source: Path) -> None:
    planned = plan(read(source), KNOWN["Q4_0"])
    os.truncate(source, source.stat().st_size // 2)
    with pytest.raises(QuantizerFailed, match="the file ended within tensor"):
        list(quantize(planned, io.BytesIO()))


def test_a_library_without_the_functions_is_an_error(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import _ctypes

    monkeypatch.setattr(quantizer, "library", lambda: Path(_ctypes.__file__))
    with pytest.raises(QuantizerFailed, match=r"quantizing failed: .*ggml_quantize_chunk"):
        ours(source, "Q4_0")


def test_a_crash_is_an_error_here_and_nothing_else(source: Path) -> None:
    steps = quantize(plan(read(source), KNOWN["Q4_0"]), _KillTheWorker())
    with pytest.raises(QuantizerFailed, match=r"the quantizer crashed \(signal 11\)"):
        list(steps)


class _KillTheWorker:
    """Kills the worker at the first piece of weights: the header comes before there is one."""

    def write(self, chunk: bytes | memoryview) -> object:
        for child in descendants(os.getpid()):
            child.send_signal(signal.SIGSEGV)
            assert gone(child, within=10)
        return None


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return models.llama(
        tmp_path_factory.mktemp("sound") / "m.gguf", width=32, vocab=400, layers=1
    ).read_bytes()


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=6),
    st.sampled_from([*KNOWN]),
)
def test_a_mutilated_header_is_a_plan_or_a_clear_error(
    sound: bytes, tmp_path: Path, changes: list[tuple[int, int]], kind: str
) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(sound)
    places = [*range(2000), *range(read(path).data_offset - 2000, read(path).data_offset)]
    data = bytearray(sound)
    for at, value in changes:
        data[places[at % len(places)]] = value
    path.write_bytes(data)
    try:
        planned = plan(read(path), KNOWN[kind])
    except (InvalidGGUF, CannotQuantize):
        return
    head = tmp_path / "head.gguf"
    head.write_bytes(planned.header)
    os.truncate(head, planned.size)
    assert [each.name for each in read(head).tensors] == [each.name for each in planned.tensors]


def big(tmp_path: Path) -> Path:
    """Some seconds of work."""
    return models.llama(tmp_path / "big.gguf", width=1024, layers=8, heads=8, vocab=4000)


def test_dropping_the_iterator_ends_the_work(tmp_path: Path) -> None:
    steps = quantize(plan(read(big(tmp_path)), KNOWN["IQ3_S"]), io.BytesIO())
    next(steps)
    workers = descendants(os.getpid())
    assert workers
    steps.close()
    assert all(gone(worker, within=5) for worker in workers)


def test_the_worker_dies_with_whoever_asked(tmp_path: Path) -> None:
    script = (
        "import io, sys, time; from pathlib import Path; from tropa.gguf import read;"
        "from tropa.quantize.filetype import KNOWN; from tropa.quantize.quantize import plan, quantize;"
        "steps = quantize(plan(read(Path(sys.argv[1])), KNOWN['IQ3_S']), io.BytesIO()); next(steps);"
        "print('working', flush=True); time.sleep(600)"
    )
    asker = subprocess.Popen([sys.executable, "-c", script, str(big(tmp_path))], stdout=subprocess.PIPE)
    assert asker.stdout is not None
    assert asker.stdout.readline() == b"working\n"
    workers = descendants(asker.pid)
    assert workers
    asker.kill()
    asker.wait()
    asker.stdout.close()
    assert all(gone(worker, within=5) for worker in workers)
