from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.library.making import add, broken, files, gguf, make, unused, write_manifest
from tropa.gguf import GGUF, read
from tropa.library import header, manifest
from tropa.library.bundled import Bundled, packaged
from tropa.library.errors import CloudDisabled, DamagedModel, ModelNotFound
from tropa.library.library import Library
from tropa.library.manifest import Layer
from tropa.library.model import Details, Message
from tropa.library.name import InvalidName, Name


def names(library: Library) -> list[str]:
    return [model.name.short for model in library.models()]


def test_a_new_installation_has_tiny_and_no_files(furnished: Library) -> None:
    model = furnished.find("tiny")
    assert model.bundled
    assert model.weights is not None
    assert model.weights.path.read_bytes() == gguf(tensors=3, llama__context_length=2048)
    assert (model.details.family, model.details.format, model.details.parameter_size) == (
        "llama",
        "gguf",
        "96",
    )
    assert model.context_length == 2048
    assert model.capabilities == ("completion",)
    assert "demonstrations and tests" in model.licenses[0]
    assert len(model.id) == 64
    assert names(furnished) == ["tiny:latest"]
    assert not furnished.store.root.exists()


def test_the_package_ships_tiny() -> None:
    model = Library(Path("/nowhere"), packaged()).find("tiny")
    assert model.weights is not None
    assert model.weights.path.name == "tiny.gguf"
    assert model.size > 1 << 20


def test_a_package_without_weights_has_no_tiny(tmp_path: Path) -> None:
    library = Library(tmp_path / "models", Bundled(Name.parse("tiny"), tmp_path / "nothing.gguf"))
    assert library.models() == []
    with pytest.raises(ModelNotFound, match="model 'tiny' not found"):
        library.find("tiny")


def test_a_copy_of_tiny_is_the_same_model_in_a_valid_store(furnished: Library) -> None:
    furnished.copy("tiny", "Mine")
    mine, tiny = furnished.find("mine"), furnished.find("tiny")
    assert mine.id == tiny.id
    assert (mine.name.short, mine.bundled, tiny.bundled) == ("Mine:latest", False, True)
    assert broken(furnished.store) == []
    assert unused(furnished.store) == []


def test_a_copy_of_an_installed_tiny_takes_no_space(tmp_path: Path, bundled: Bundled) -> None:
    library = Library(tmp_path / "models", Bundled(bundled.name, bundled.path, immutable=True))
    library.copy("tiny", "mine")
    weights = library.find("mine").weights
    assert weights is not None
    assert weights.path.samefile(bundled.path)


def test_ones_own_tiny_wins_and_uncovers_the_bundled_one_when_it_goes(furnished: Library) -> None:
    make(furnished, "TINY", gguf(tensors=2))
    assert [(model.name.short, model.bundled) for model in furnished.models()] == [("tiny:latest", False)]
    furnished.delete("tiny")
    assert furnished.find("tiny").bundled


def test_a_removed_tiny_stays_removed_until_it_is_restored(furnished: Library, bundled: Bundled) -> None:
    furnished.delete("tiny")
    again = Library(furnished.store.root, bundled)
    assert again.models() == []
    with pytest.raises(ModelNotFound):
        again.delete("tiny")
    assert bundled.path.exists()
    assert not again.restore(Name.parse("other"))
    assert again.restore(Name.parse("TINY"))
    assert names(furnished) == ["tiny:latest"]


def test_models_come_newest_first(library: Library) -> None:
    for number, name in enumerate(["b", "a", "c"]):
        make(library, name)
        os.utime(library.store.path(Name.parse(name)), (1000 + number, 1000 + number))
    assert names(library) == ["c:latest", "a:latest", "b:latest"]
    os.utime(library.store.path(Name.parse("b")), (1002.5, 1002.5))
    assert names(library) == ["b:latest", "c:latest", "a:latest"]


def test_a_model_is_found_in_any_letter_case(library: Library) -> None:
    make(library, "Me/Llama:8B")
    assert library.find(" me/LLAMA:8b:local ").name.short == "Me/Llama:8B"
    make(library, "me/llama:8b", gguf(tensors=2))
    assert names(library) == ["Me/Llama:8B"]


@pytest.mark.parametrize("text", ["x:cloud", "x:8b-cloud"])
def test_a_cloud_model_is_refused(library: Library, text: str) -> None:
    with pytest.raises(CloudDisabled, match="ollama cloud is disabled: remote model is unavailable"):
        library.find(text)


def test_what_is_not_there_is_said_as_it_was_asked_for(library: Library) -> None:
    with pytest.raises(ModelNotFound, match="model 'Nope:1' not found"):
        library.find("Nope:1")
    with pytest.raises(ModelNotFound, match="model '' not found"):
        library.find("")
    with pytest.raises(ModelNotFound, match='model "nope" not found'):
        library.copy("nope", "x")
    with pytest.raises(ModelNotFound, match='model "nope" not found'):
        library.copy("nope", "NOPE")
    with pytest.raises(ModelNotFound, match="model 'nope' not found"):
        library.delete("nope")


def test_bad_names_are_said_in_the_words_of_each_operation(library: Library) -> None:
    with pytest.raises(InvalidName, match="invalid model name"):
        library.find("../x")
    with pytest.raises(InvalidName, match='source "a b" is invalid'):
        library.copy("a b", "x")
    with pytest.raises(InvalidName, match=r'destination "\.\./x" is invalid'):
        library.copy("x", "../x")
    with pytest.raises(InvalidName, match='name "a//b" is invalid'):
        library.delete("a//b")


def test_a_copy_keeps_its_id_and_shares_its_blobs(library: Library) -> None:
    make(library, "a", system="hello")
    before = files(library.store.root / "blobs")
    library.copy("a", "me/b:x")
    library.copy("a", "A")
    assert files(library.store.root / "blobs") == before
    assert library.find("me/b:x").id == library.find("a").id
    library.delete("a")
    assert library.find("me/b:x").system == "hello"
    library.delete("me/b:x")
    assert files(library.store.root) == {}


def test_a_model_whose_weights_are_gone_is_listed_and_refused(library: Library) -> None:
    make(library, "a", system="hello")
    weights = library.find("a").weights
    assert weights is not None
    data = weights.path.read_bytes()
    weights.path.unlink()
    assert names(library) == ["a:latest"]
    with pytest.raises(DamagedModel, match=r"model 'a:latest' is damaged: .*no such file"):
        library.find("a")
    weights.path.write_bytes(data)
    assert library.find("a").problems == ()


def test_a_model_whose_weights_were_cut_short_is_refused(library: Library) -> None:
    make(library, "a")
    weights = library.find("a").weights
    assert weights is not None
    weights.path.write_bytes(weights.path.read_bytes()[:-1])
    with pytest.raises(DamagedModel, match="cut short"):
        library.find("a")
    library.delete("a")


def test_a_corrupt_manifest_harms_no_other_model(library: Library) -> None:
    make(library, "a")
    write_manifest(library.store.root, "registry.ollama.ai/library/bad/latest", b"{")
    assert sorted(names(library)) == ["a:latest", "bad:latest"]
    with pytest.raises(DamagedModel, match="invalid manifest"):
        library.find("bad")
    library.delete("bad")
    assert names(library) == ["a:latest"]


def ollama_store(root: Path) -> None:
    """A model as an existing installation has it, with every kind of layer."""
    blobs = Library(root).store.blobs
    config = {
        "model_format": "gguf", "model_family": "qwen2", "model_families": ["qwen2", "clip"], "model_type": "7B",
        "file_type": "Q4_K_M", "architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []},
    }  # fmt: skip
    weights = gguf("qwen2", qwen2__context_length=32768, qwen2__embedding_length=3584)
    projector = gguf("clip", general__type="mmproj", clip__has_vision_encoder=True)
    layers = [
        Layer(manifest.MODEL, str(add(blobs, "", weights).digest), len(weights), source="qwen2:latest"),
        add(blobs, manifest.PROJECTOR, projector),
        add(blobs, manifest.TEMPLATE, b"{{ if .Tools }}{{ .Tools }}{{ end }}{{ .Prompt }}{{ .Suffix }}"),
        add(blobs, manifest.SYSTEM, b"You are terse."),
        add(blobs, manifest.PARAMS, b'{"num_ctx":8192,"stop":["<|im_end|>"],"temperature":0.5}'),
        add(
            blobs, manifest.MESSAGES, b'[{"role":"user","content":"hi"},{"role":"assistant","content":"ho"}]'
        ),
        add(blobs, manifest.LICENSE, b"first"),
        add(blobs, manifest.LICENSE, b"second"),
        add(blobs, "application/vnd.ollama.image.embed", b"old"),
        add(blobs, "application/vnd.example.new", b"unknown"),
    ]
    data = manifest.compose(add(blobs, manifest.CONFIG, json.dumps(config).encode()), layers)
    write_manifest(root, "registry.ollama.ai/library/qwen/7b", data)


def test_an_existing_store_is_read_as_it_is(library: Library) -> None:
    ollama_store(library.store.root)
    model = library.find("qwen:7b")
    assert model.details == Details("qwen2:latest", "gguf", "qwen2", ("qwen2", "clip"), "7B", "Q4_K_M")
    assert model.template == "{{ if .Tools }}{{ .Tools }}{{ end }}{{ .Prompt }}{{ .Suffix }}"
    assert model.system == "You are terse."
    assert dict(model.params) == {"num_ctx": 8192, "stop": ["<|im_end|>"], "temperature": 0.5}
    assert model.messages == (Message("user", "hi"), Message("assistant", "ho"))
    assert model.licenses == ("first", "second")
    assert len(model.projectors) == 1
    assert model.capabilities == ("completion", "vision", "tools", "insert")
    assert (model.context_length, model.embedding_length) == (32768, 3584)
    assert library.models() == [model]


def test_reading_an_existing_store_changes_nothing_in_it(library: Library) -> None:
    ollama_store(library.store.root)
    before = files(library.store.root)
    library.find("qwen:7b")
    library.open()
    assert files(library.store.root) == before


def test_a_remote_stub_is_listed_and_refused(library: Library) -> None:
    blobs = library.store.blobs
    config = {
        "remote_host": "https://ollama.com:443",
        "remote_model": "gpt-oss:120b",
        "capabilities": ["completion"],
    }
    data = manifest.compose(add(blobs, manifest.CONFIG, json.dumps(config).encode()), [])
    write_manifest(library.store.root, "registry.ollama.ai/library/gpt-oss/120b-cloud", data)
    (model,) = library.models()
    assert (model.remote_host, model.remote_model) == ("https://ollama.com:443", "gpt-oss:120b")
    assert (model.weights, model.details.families) == (None, None)
    with pytest.raises(CloudDisabled):
        library.find("gpt-oss:120b-cloud")
    library.delete("gpt-oss:120b:cloud")
    assert library.models() == []


def test_an_unreadable_text_layer_is_a_problem_of_its_model(library: Library) -> None:
    make(library, "a", parameters={"seed": 1})
    path = next(
        path for path in library.store.blobs.folder.iterdir() if path.read_bytes().startswith(b'{"seed"')
    )
    path.write_bytes(b"[" * 100_000)
    with pytest.raises(DamagedModel, match="params layer"):
        Library(library.store.root).find("a")


def test_listing_again_reads_nothing_again(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        make(library, f"m{number}", gguf(tensors=number + 1))
    first = library.models()

    def never(*_: object) -> object:
        raise AssertionError("a file that was not touched is not read again")

    monkeypatch.setattr(header, "read", never)
    monkeypatch.setattr(library.store, "read", never)
    assert library.models() == first
    assert library.find("m3") in first


def test_the_first_listing_after_a_start_reads_no_weights_again(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        make(library, f"m{number}", gguf(tensors=number + 1))
    first = library.models()
    reads: list[Path] = []

    def counted(path: Path) -> GGUF:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(header, "read", counted)
    assert Library(library.store.root).models() == first
    assert reads == []
    weights = first[0].weights
    assert weights is not None
    os.utime(weights.path, (1, 1))
    assert Library(library.store.root).models() == first
    assert reads == [weights.path]


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b'{"stamp": [1, 2, 3], "header": {}}'])
def test_what_is_remembered_of_headers_may_be_lost_or_spoilt(library: Library, content: bytes) -> None:
    make(library, "a")
    first = library.models()
    memory = library.store.home / "headers"
    for file in memory.iterdir():
        file.write_bytes(content)
    assert Library(library.store.root).models() == first
    library.delete("a")
    library.open()
    assert list(memory.iterdir()) == []


def test_a_model_made_anew_is_seen_at_once(library: Library) -> None:
    make(library, "a", system="one")
    assert library.find("a").system == "one"
    make(library, "a", system="two")
    assert library.find("a").system == "two"
