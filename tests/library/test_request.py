from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.library.making import gguf
from tropa.library.modelfile.parameters import DEPRECATED, KNOWN, go_float, lines
from tropa.library.modelfile.request import CreateRequest, request
from tropa.library.modelfile.syntax import InvalidModelfile, parse


def build(text: str, base_dir: Path = Path("/nowhere")) -> CreateRequest:
    return request(parse(text), base_dir)


def test_a_file_beside_the_modelfile_is_to_be_uploaded(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    for spelling in ("m.gguf", "./m.gguf", str(tmp_path / "m.gguf")):
        assert build(f"FROM {spelling}", tmp_path) == CreateRequest({"m.gguf": tmp_path / "m.gguf"})


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


def test_texts_that_the_server_judges_go_as_they_are() -> None:
    made = build('FROM x\nTEMPLATE """{{ .Prompt }}\n"""\nRENDERER a\nRENDERER b\nPARSER c\nREQUIRES v0.14')
    assert made.fields == {
        "from": "x", "template": "{{ .Prompt }}\n", "renderer": "b", "parser": "c", "requires": "0.14",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("version", "says"),
    [
        ("soon", "(line 2): requires must be a valid semver (e.g. 0.14.0), not 'soon'"),
        ("1.2.3.4", "(line 2): requires must be a valid semver"),
        ("99", "(line 2): this model requires version 99"),
    ],
)
def test_a_version_that_we_do_not_stand_in_for_is_refused_with_its_line(version: str, says: str) -> None:
    with pytest.raises(InvalidModelfile) as caught:
        build(f"FROM x\nREQUIRES {version}")
    assert str(caught.value).startswith(says)


def safetensors(path: Path, header: bytes = b"{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder as Hugging Face has them."""
    folder = tmp_path / "model"
    safetensors(folder / "model-00001-of-00002.safetensors")
    safetensors(folder / "model-00002-of-00002.safetensors")
    safetensors(folder / "consolidated.safetensors")
    safetensors(folder / "1_Dense" / "model.safetensors")
    for name in ("config.json", "tokenizer.json", "1_Pooling/config.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    for name in ("chat_template.jinja", "README.md", "vocab.txt"):
        (folder / name).write_text("text")
    (folder / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
    return folder


def test_a_folder_gives_its_weights_and_what_belongs_to_them(model: Path) -> None:
    assert sorted(build(f"FROM {model}").files) == [
        "1_Dense/model.safetensors", "1_Pooling/config.json", "chat_template.jinja", "config.json",
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "tokenizer.json", "vocab.txt",
    ]  # fmt: skip
    assert build("FROM .", model).files == build(f"FROM {model}").files
    assert build("FROM ./model-00001-of-00002.safetensors", model).files == build("FROM .", model).files


def test_a_tokenizer_in_a_folder_below_is_found(model: Path) -> None:
    (model / "original").mkdir()
    (model / "original" / "tokenizer.model").write_bytes(b"\0\1")
    assert "original/tokenizer.model" in build("FROM .", model).files
    (model / "tokenizer.model").write_bytes(b"\0\1")
    files = build("FROM .", model).files
    assert "tokenizer.model" in files
    assert "original/tokenizer.model" not in files


def test_weights_that_were_not_downloaded_are_passed_over_and_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InvalidModelfile, match="no Modelfile or safetensors files found") as caught:
        build("FROM .", tmp_path)
    assert caught.value.hint == (
        "model.safetensors is a git-lfs pointer: the real file was not downloaded (git lfs pull)"
    )
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert [*build("FROM .", tmp_path).files] == ["m.gguf"]


def test_a_folder_that_happens_to_be_called_like_a_model_does_not_hide_it(tmp_path: Path) -> None:
    (tmp_path / "llama3").mkdir()
    (tmp_path / "llama3" / "notes.txt").write_text("about llamas")
    assert build("FROM llama3", tmp_path).fields == {"from": "llama3"}
    with pytest.raises(InvalidModelfile, match="no Modelfile or safetensors files found"):
        build("FROM ./llama3", tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "consolidated.00.pth", "model.pt"])
def test_checkpoints_that_run_code_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04 and so on")
    for text in ("FROM .", f"FROM ./{name}"):
        with pytest.raises(InvalidModelfile, match=f"line 1.*{name} is a PyTorch checkpoint"):
            build(text, tmp_path)


def test_a_link_out_of_the_folder_is_refused(model: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    (model / "leak.json").symlink_to(tmp_path / "secret.json")
    with pytest.raises(InvalidModelfile, match=r"line 1.*insecure path: leak\.json") as caught:
        build("FROM .", model)
    assert "--local-dir" in str(caught.value.hint)


def test_a_link_within_the_folder_is_followed(model: Path) -> None:
    (model / "again.json").symlink_to("config.json")
    assert build("FROM .", model).files["again.json"] == model / "config.json"


def test_the_layout_of_download_caches_is_known(tmp_path: Path) -> None:
    repository = tmp_path / "models--a--b"
    safetensors(repository / "blobs" / "1234")
    snapshot = repository / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to("../../blobs/1234")
    assert build("FROM .", snapshot).files == {"model.safetensors": repository / "blobs" / "1234"}


def test_metadata_that_is_no_text_is_refused(model: Path) -> None:
    (model / "config.json").write_bytes(b"\x89PNG\0\0")
    with pytest.raises(InvalidModelfile, match=r"invalid content type: config\.json is no text"):
        build("FROM .", model)


def test_one_part_of_a_split_model_brings_the_others_along(tmp_path: Path) -> None:
    names = [f"m-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    for name in names:
        (tmp_path / name).write_bytes(b"GGUF")
    assert [*build("FROM m-00002-of-00003.gguf", tmp_path).files] == names
    assert [*build("FROM .", tmp_path).files] == names


def test_a_folder_with_several_models_is_told_so_before_any_upload(tmp_path: Path) -> None:
    for name in ("a.Q4_0.gguf", "b.Q8_0.gguf"):
        (tmp_path / name).write_bytes(gguf())
    (tmp_path / "mmproj.gguf").write_bytes(
        gguf("clip", general__type="mmproj", clip__has_vision_encoder=True)
    )
    with pytest.raises(
        InvalidModelfile, match=r"\(line 1\): more than one model: a\.Q4_0\.gguf, b\.Q8_0\.gguf"
    ):
        build("FROM .", tmp_path)
    (tmp_path / "b.Q8_0.gguf").unlink()
    assert sorted(build("FROM .", tmp_path).files) == ["a.Q4_0.gguf", "mmproj.gguf"]


def test_an_adapter_is_a_file_or_the_folder_that_training_left(tmp_path: Path) -> None:
    (tmp_path / "lora.gguf").write_bytes(b"GGUF")
    made = build("FROM x\nADAPTER ./lora.gguf", tmp_path)
    assert made.adapters == {"lora.gguf": tmp_path / "lora.gguf"}
    for name in ("adapter_model.safetensors", "adapters.safetensors"):
        folder = tmp_path / name.partition(".")[0]
        safetensors(folder / name)
        (folder / "adapter_config.json").write_text("{}")
        made = build(f"FROM x\nADAPTER {folder}")
        assert sorted(made.adapters) == sorted(["adapter_config.json", name])
        assert made.fields == {"from": "x"}


def test_the_last_adapter_counts(tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    assert [*build("FROM x\nADAPTER a.gguf\nADAPTER b.gguf", tmp_path).adapters] == ["b.gguf"]


@pytest.mark.parametrize("word", ["ADAPTER", "DRAFT"])
def test_companions_are_paths_and_never_names(word: str, tmp_path: Path) -> None:
    for value in ("nosuch", "./nosuch.gguf"):
        with pytest.raises(InvalidModelfile, match=r"^\(line 2\): no such file: "):
            build(f"FROM x\n{word} {value}", tmp_path)
    with pytest.raises(InvalidModelfile, match=f"{word} needs a path"):
        build(f'FROM x\n{word} ""', tmp_path)


def test_a_draft_is_another_file_than_the_model(tmp_path: Path) -> None:
    for name in ("m.gguf", "d.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    assert build("FROM m.gguf\nDRAFT d.gguf", tmp_path).drafts == {"d.gguf": tmp_path / "d.gguf"}
    with pytest.raises(
        InvalidModelfile, match=r"line 2\): DRAFT must not reference the same local path as FROM"
    ):
        build("FROM m.gguf\nDRAFT ./m.gguf", tmp_path)


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
