from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropa.library.errors import NotSupportedYet
from tropa.library.modelfile.parameters import DEPRECATED, KNOWN, go_float, lines
from tropa.library.modelfile.request import CreateRequest, request
from tropa.library.modelfile.syntax import InvalidModelfile, parse


def build(text: str, base_dir: Path = Path("/nowhere")) -> CreateRequest:
    return request(parse(text), base_dir)


def test_a_file_beside_the_modelfile_is_to_be_uploaded(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    for spelling in ("m.gguf", "./m.gguf", str(tmp_path / "m.gguf")):
        assert build(f"FROM {spelling}", tmp_path) == CreateRequest({"m.gguf": tmp_path / "m.gguf"}, {})


def test_a_model_and_its_projector_go_together(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("m.gguf", "a/m.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    made = build("FROM m.gguf\nFROM a/m.gguf\nFROM ./m.gguf", tmp_path)
    assert sorted(made.files.values()) == [tmp_path / "a/m.gguf", tmp_path / "m.gguf"]
    assert len(made.files) == 2


def test_the_home_directory_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert build("FROM ~/m.gguf").files == {"m.gguf": tmp_path / "m.gguf"}


@pytest.mark.parametrize("name", ["llama3", "me/x:8b", "hf.co/a/b:file.Q4_K_M.gguf"])
def test_what_is_no_file_is_the_name_of_a_model(name: str) -> None:
    assert build(f"FROM other\nFROM {name}").fields == {"from": name}


@pytest.mark.parametrize(
    "path", ["./m.gguf", "m.gguf", "/m", "~/m", "../x", "model.safetensors", "~nobody-here/x"]
)
def test_a_mistyped_path_is_no_model_name(path: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidModelfile, match=r"^\(line 2\): no such file: "):
        build(f"# hm\nFROM {path}", tmp_path)


def test_what_is_neither_file_nor_folder_is_refused(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "m.gguf")
    with pytest.raises(InvalidModelfile, match="not a regular file"):
        build("FROM m.gguf", tmp_path)
    with pytest.raises(InvalidModelfile, match="FROM needs a model name or a path"):
        build('FROM ""', tmp_path)


def test_all_that_is_only_layers_becomes_fields() -> None:
    made = build(
        'FROM x\nSYSTEM old\nSYSTEM new\nLICENSE a\nLICENSE b\nMESSAGE user hi\nMESSAGE assistant "ho "\n'
        "PARAMETER temperature 1\nPARAMETER temperature 0.5\nPARAMETER stop a\nPARAMETER stop b\n"
        "PARAMETER num_ctx 4096\nPARAMETER use_mmap T\nPARAMETER mirostat 1"
    )
    assert made.fields == {
        "from": "x",
        "parameters": {"temperature": 0.5, "stop": ["a", "b"], "num_ctx": 4096, "use_mmap": True},
        "system": "new",
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho "}],
        "license": ["a", "b"],
    }
    assert made.warnings == ("warning: parameter mirostat is deprecated",)


@pytest.mark.parametrize("word", ["TEMPLATE", "ADAPTER", "DRAFT", "RENDERER", "PARSER", "REQUIRES"])
def test_what_we_cannot_do_yet_is_said_with_its_line(word: str) -> None:
    with pytest.raises(NotSupportedYet) as caught:
        build(f"FROM x\n\n{word} y")
    assert str(caught.value) == f"{word} is not supported yet by this version of Tropa (line 3)"


def test_a_folder_is_not_supported_yet(tmp_path: Path) -> None:
    with pytest.raises(NotSupportedYet, match=r"FROM a folder is not supported yet .*\(line 1\)"):
        build("FROM .", tmp_path)


@pytest.mark.parametrize(
    ("line", "says", "hint"),
    [
        ("temperature abc", "invalid float value [abc]", None),
        ("temperature 1_0", "invalid float value [1_0]", None),
        ("temperature nan", "invalid float value [nan]", None),
        ("temperature 1e39", "invalid float value [1e39]", None),
        ("temperature 1e999999999", "invalid float value [1e999999999]", None),
        ("num_ctx 1e3", "invalid int value [1e3]", None),
        ("num_ctx 4096.5", "invalid int value [4096.5]", None),
        ("num_ctx 9223372036854775808", "invalid int value [9223372036854775808]", None),
        ("num_ctx ٣", "invalid int value [٣]", None),
        ("use_mmap yes", "invalid bool value [yes]", "use_mmap is true or false"),
        ("nope 1", "unknown parameter 'nope'", None),
        ("tfs_z 1", "unknown parameter 'tfs_z'", None),
        ("temprature 1", "unknown parameter 'temprature'", 'did you mean "temperature"?'),
        ("Temperature 1", "unknown parameter 'Temperature'", 'did you mean "temperature"?'),
    ],
)
def test_parameters_are_checked_by_name_and_type(line: str, says: str, hint: str | None) -> None:
    with pytest.raises(InvalidModelfile) as caught:
        build(f"FROM x\nPARAMETER {line}")
    assert str(caught.value) == f"(line 2): {says}"
    if hint:
        assert caught.value.hint == hint


@pytest.mark.parametrize("value", ["-1", "+5", "9223372036854775807", "0"])
def test_integers_may_be_as_large_as_64_bits(value: str) -> None:
    assert build(f"FROM x\nPARAMETER seed {value}").fields["parameters"] == {"seed": int(value)}


@pytest.mark.parametrize("value", ["1", ".5", "5.", "-0.25", "1e-5", "3.4028234e38"])
def test_floats_may_be_written_in_every_usual_way(value: str) -> None:
    assert build(f"FROM x\nPARAMETER top_p {value}").fields["parameters"] == {"top_p": float(value)}


def test_the_lists_of_parameters_do_not_overlap() -> None:
    assert len({*KNOWN, *DEPRECATED}) == len(KNOWN) + len(DEPRECATED)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.7, "0.7"), (1.0, "1"), (0.0, "0"), (-0.0, "-0"), (100000.0, "100000"), (999999.0, "999999"),
        (1e6, "1e+06"), (1234567.0, "1.234567e+06"), (0.0001, "0.0001"), (0.00001, "1e-05"), (123456.7, "123456.7"),
        (1e20, "1e+20"), (1e21, "1e+21"), (-2.5, "-2.5"), (1e-100, "1e-100"), (math.inf, "+Inf"),
    ],
)  # fmt: skip
def test_floats_are_printed_as_go_prints_them(value: float, text: str) -> None:
    assert go_float(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_float_reads_back_as_itself(value: float) -> None:
    assert float(go_float(value)) == value


def test_options_are_printed_one_value_a_line_by_key() -> None:
    assert lines({"stop": ["b", "a"], "num_ctx": 1 << 20, "use_mmap": False, "min_p": 0.05}) == [
        ("min_p", "0.05"), ("num_ctx", "1048576"), ("stop", "b"), ("stop", "a"), ("use_mmap", "false"),
    ]  # fmt: skip
