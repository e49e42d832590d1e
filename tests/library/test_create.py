from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.library.making import broken, files, gguf, make, unused, upload
from tropa.errors import TropaError
from tropa.gguf import InvalidGGUF
from tropa.library import manifest
from tropa.library.architectures import SUPPORTED
from tropa.library.create import create
from tropa.library.digest import Digest, InvalidDigest
from tropa.library.errors import (
    BlobNotFound,
    CloudDisabled,
    InvalidRecipe,
    ModelNotFound,
    StoreUnusable,
    UnsupportedArchitecture,
)
from tropa.library.library import Library
from tropa.library.model import Message
from tropa.library.name import InvalidName, Name
from tropa.library.recipe import recipe
from tropa.library.status import Status
from tropa.quantize.errors import UnknownQuantization

NOTHING = str(Digest.of(b"never uploaded"))


def raw_config(library: Library, name: str) -> dict[str, Any]:
    made = manifest.parse(library.store.path(Name.parse(name)).read_bytes())
    assert made.config is not None
    config: dict[str, Any] = json.loads(library.store.blobs.path(made.config.blob).read_bytes())
    return config


def test_a_gguf_becomes_a_model(library: Library) -> None:
    data = gguf(llama__context_length=4096, llama__embedding_length=64)
    digest = upload(library, data)
    statuses = list(create(library, recipe({"model": "x", "files": {"m.gguf": digest}})))
    assert statuses == [
        Status("parsing GGUF"),
        Status(f"using existing layer {digest}"),
        Status("writing manifest"),
        Status("success"),
    ]
    model = library.find("x")
    assert model.weights is not None
    assert model.weights.path.read_bytes() == data
    assert (model.details.format, model.details.family, model.details.families) == (
        "gguf",
        "llama",
        ("llama",),
    )
    assert (model.details.parameter_size, model.details.quantization_level) == ("32", "F16")
    assert (model.context_length, model.embedding_length) == (4096, 64)
    assert model.size == len(data) + len(library.store.blobs.path(_config_digest(library, "x")).read_bytes())
    assert broken(library.store) == unused(library.store) == []


def _config_digest(library: Library, name: str) -> Digest:
    made = manifest.parse(library.store.path(Name.parse(name)).read_bytes())
    assert made.config is not None
    return made.config.blob


def test_texts_become_layers_in_their_order(library: Library) -> None:
    statuses = make(
        library, "x", system="Be brief.", license=["one", "two"], messages=[{"role": "user", "content": "hi"}],
        parameters={"stop": ["<b>"], "num_ctx": 1 << 20, "temperature": 0.7, "seed": None},
    )  # fmt: skip
    assert [status.split()[0] for status in statuses] == [
        "parsing",
        "using",
        *["creating"] * 5,
        "writing",
        "success",
    ]
    model = library.find("x")
    assert (model.system, model.licenses) == ("Be brief.", ("one", "two"))
    assert dict(model.params) == {"num_ctx": 1 << 20, "stop": ["<b>"], "temperature": 0.7}
    assert model.messages == (Message("user", "hi"),)
    made = manifest.parse(library.store.path(model.name).read_bytes())
    kinds = [layer.media_type.rpartition(".")[2] for layer in made.layers or ()]
    assert kinds == ["model", "system", "license", "license", "params", "messages"]
    blob = library.store.blobs.path(made.of(manifest.PARAMS)[0].blob).read_bytes()
    assert blob == b'{"num_ctx":1048576,"stop":["\\u003cb\\u003e"],"temperature":0.7}\n'


def test_the_same_recipe_twice_gives_the_same_id(library: Library) -> None:
    make(library, "x", system="a")
    first = library.find("x").id
    assert "creating" not in " ".join(make(library, "x", system="a"))
    assert library.find("x").id == first
    make(library, "x", system="b")
    assert library.find("x").id != first
    assert unused(library.store) == []


def test_a_model_from_another_takes_its_layers_and_replaces_some(library: Library) -> None:
    make(library, "base", system="old", license="one", parameters={"seed": 1, "stop": ["a", "b"], "top_k": 5},
         messages=[{"role": "user", "content": "hi"}])  # fmt: skip
    make(library, "x", base="BASE", system="new", license="two", parameters={"stop": ["c"], "seed": 2})
    model = library.find("x")
    assert (model.system, model.licenses) == ("new", ("one", "two"))
    assert dict(model.params) == {"seed": 2, "stop": ["c"], "top_k": 5}
    assert model.messages == (Message("user", "hi"),)
    assert model.parent_model == "base:latest"
    assert model.weights == library.find("base").weights


def test_empty_values_keep_what_the_base_has(library: Library) -> None:
    make(library, "base", system="old", messages=[{"role": "user", "content": "hi"}], license="L")
    make(
        library,
        "x",
        base="base",
        system="",
        messages=[],
        license="",
        template="",
        parameters={},
        renderer="",
        parser="",
        requires="",
        quantize="",
        remote_host="",
    )
    model = library.find("x")
    assert (model.system, model.licenses, len(model.messages)) == ("old", ("L",), 1)


def test_a_model_may_be_made_from_itself(library: Library) -> None:
    make(library, "x", system="a")
    make(library, "x", base="x", system="b")
    assert library.find("x").system == "b"
    assert unused(library.store) == []


def test_a_model_may_be_made_from_the_bundled_one(furnished: Library) -> None:
    make(furnished, "pirate", base="tiny", system="Arr.")
    model = furnished.find("pirate")
    assert (model.system, model.parent_model, model.bundled) == ("Arr.", "tiny:latest", False)
    assert broken(furnished.store) == unused(furnished.store) == []


def test_an_unknown_config_field_of_the_base_is_inherited(library: Library) -> None:
    make(library, "base", info={"capabilities": ["image"], "context_length": 9})
    config = raw_config(library, "base")
    assert (config["capabilities"], config["context_length"]) == (["image"], 9)
    make(library, "x", base="base", info={"capabilities": ["audio", "image"], "base_name": "b"})
    config = raw_config(library, "x")
    assert (config["capabilities"], config["context_length"], config["base_name"]) == (
        ["image", "audio"],
        9,
        "b",
    )
    assert library.find("x").capabilities == ("image", "audio", "completion")


def test_a_projector_belongs_to_its_model(library: Library) -> None:
    projector = upload(library, gguf("clip", general__type="mmproj", clip__has_vision_encoder=True))
    model = upload(library, gguf())
    make(library, "x", files={"mmproj.gguf": projector, "m.gguf": model})
    found = library.find("x")
    assert found.weights is not None
    assert str(found.weights.digest) == model
    assert [str(each.digest) for each in found.projectors] == [projector]
    assert found.details.families == ("llama",)
    assert found.capabilities == ("completion", "vision")


@pytest.mark.parametrize(
    ("data", "capability"),
    [
        (gguf("bert", bert__pooling_type=1), "embedding"),
        (gguf("bert"), "embedding"),
        (gguf("qwen3", qwen3__pooling_type=3), "embedding"),
        (gguf("nomic-bert", **{"nomic-bert__attention__causal": False}), "embedding"),
        (gguf("llama"), "completion"),
    ],
)
def test_embedding_models_are_known_as_such(library: Library, data: bytes, capability: str) -> None:
    make(library, "x", data)
    assert library.find("x").capabilities == (capability,)


def refused(library: Library, name: str, data: bytes, file: str = "m.gguf") -> TropaError:
    """Try to make a model of bad bytes; nothing may be registered."""
    digest = upload(library, data)
    before = files(library.store.root)
    with pytest.raises(TropaError) as caught:
        list(create(library, recipe({"model": name, "files": {file: digest}})))
    assert files(library.store.root) == before
    assert library.models() == []
    return caught.value


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty, not a GGUF file"),
        (b"PK\x03\x04" + bytes(99), "zip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 16, "says it holds"),
        (gguf()[:-1], "cut short"),
        (gguf(tensors=0), "holds no weights"),
        (gguf(split__count=3, split__no=0), "must use llama.cpp split filename pattern"),
        (
            gguf("clip", general__type="mmproj", clip__has_vision_encoder=True),
            "a projector alone is no model",
        ),
        (gguf(general__type="adapter"), "LoRA adapter"),
        (gguf(llama__context_length="many"), "llama.context_length"),
    ],
)
def test_what_is_no_model_is_refused_with_the_reason_and_its_own_file_name(
    library: Library, data: bytes, says: str
) -> None:
    error = str(refused(library, "x", data))
    assert says in error
    assert "m.gguf" in error
    assert "blobs" not in error


def test_what_is_no_gguf_is_called_so_in_the_words_clients_know(library: Library) -> None:
    assert "supplied file was not in GGUF format" in str(refused(library, "x", b"hello"))
    assert "unknown type" in str(refused(library, "x", b"hello", "README.md"))
    make(library, "y", files={"no-extension": upload(library, gguf())})


def test_a_gguf_cut_short_at_any_byte_registers_nothing(library: Library) -> None:
    data = gguf()
    for end in range(0, len(data), 7):
        assert isinstance(refused(library, "x", data[:end]), InvalidGGUF)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, len(gguf()) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_mutilated_gguf_is_a_model_or_a_clear_error(
    library: Library, changes: list[tuple[int, int]]
) -> None:
    data = bytearray(gguf())
    for at, value in changes:
        data[at] = value
    try:
        make(library, "x", bytes(data))
    except TropaError:
        assert library.store.find(Name.parse("x")) is None
    else:
        assert library.find("x").weights is not None
        library.delete("x")


def test_an_architecture_that_the_engine_lacks_is_named_with_what_there_is(library: Library) -> None:
    error = refused(library, "x", gguf("lama"))
    assert isinstance(error, UnsupportedArchitecture)
    assert str(error).startswith('unsupported architecture "lama": m.gguf')
    assert "llama" in str(error)
    assert f"{len(SUPPORTED)} others" in str(error)
    assert error.hint is not None
    assert "TROPA_LLAMA_SERVER" in error.hint


def test_another_engine_judges_architectures_itself(tmp_path: Path) -> None:
    library = Library(tmp_path / "models", architectures=None)
    make(library, "x", gguf("brand-new"))
    assert library.find("x").details.family == "brand-new"


def test_a_file_that_was_not_uploaded_is_named(library: Library) -> None:
    with pytest.raises(BlobNotFound, match=f'blob "{NOTHING}" not found'):
        make(library, "x", files={"m.gguf": NOTHING})


def test_an_unknown_base_is_not_found(library: Library) -> None:
    with pytest.raises(ModelNotFound, match="model 'nope' not found"):
        make(library, "x", base="nope")
    with pytest.raises(CloudDisabled):
        make(library, "x", base="nope:cloud")
    with pytest.raises(InvalidName, match="invalid model name"):
        make(library, "x", base="nope:cloud:local")


def test_an_unusable_store_is_said_before_anything_happens(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    steps = create(Library(tmp_path / "models"), recipe({"model": "x", "from": "y"}))
    with pytest.raises(StoreUnusable, match="cannot use the model folder"):
        next(steps)


def test_leaving_half_way_leaves_no_model_and_no_claim(library: Library) -> None:
    digest = upload(library, gguf())
    steps = create(library, recipe({"model": "x", "files": {"m.gguf": digest}, "system": "s"}))
    assert next(steps).status == "parsing GGUF"
    steps.close()
    assert library.models() == []
    assert list((library.store.home / "claims").iterdir()) == []


def test_a_base_that_vanishes_meanwhile_is_kept_by_the_claim(library: Library) -> None:
    make(library, "base", system="s")
    steps = create(library, recipe({"model": "x", "from": "base", "license": "L"}))
    assert next(steps).status.startswith("using existing layer")
    library.delete("base")
    assert [each.status for each in steps][-1] == "success"
    assert library.find("x").system == "s"
    assert broken(library.store) == []


Bad = tuple[dict[str, object], type[TropaError], str]
OUTSIDE: list[Bad] = [
    ({"model": "x", "files": {path: NOTHING}}, InvalidRecipe, "file path must be relative")
    for path in ("", "/etc/passwd", "../x.gguf", "a/../../x", "\\x", "c:\\x", "a\\..\\x", "x\0y", "c:x")
]
BAD: list[Bad] = [
    *OUTSIDE,
    ({}, InvalidName, "invalid model name"),
    ({"model": "a b", "from": "x"}, InvalidName, "invalid model name"),
    ({"model": "x"}, InvalidRecipe, "neither 'from' or 'files' was specified"),
    ({"model": "x", "modelfile": "FROM y"}, InvalidRecipe, "neither 'from' or 'files' was specified"),
    ({"model": "x", "files": {}}, InvalidRecipe, "unknown type"),
    ({"model": "x", "from": "y", "adapters": {}}, InvalidRecipe, "unknown type"),
    ({"model": "x", "files": {"a": ""}}, InvalidDigest, "invalid digest format"),
    ({"model": "x", "files": {"a": 5}}, InvalidDigest, "invalid digest format"),
    ({"model": "x", "files": ["a"]}, InvalidRecipe, "cannot unmarshal array into Go struct field CreateRequest.files"),
    ({"model": "x", "from": "y", "license": 5}, InvalidRecipe, "cannot unmarshal number"),
    ({"model": "x", "from": "y", "license": ["a", {}]}, InvalidRecipe, "cannot unmarshal object"),
    ({"model": "x", "from": "y", "system": True}, InvalidRecipe, "cannot unmarshal bool"),
    ({"model": "x", "from": "y", "messages": ["hi"]}, InvalidRecipe, "messages"),
    ({"model": "x", "from": "y", "info": {"base_name": 1}}, InvalidRecipe, 'info field "base_name" must be a string'),
    ({"model": "x", "from": "y", "info": {"context_length": "1"}}, InvalidRecipe, "must be a number"),
    ({"model": "x", "from": "y", "info": {"context_length": 1.5}}, InvalidRecipe, "must be a non-negative integer"),
    ({"model": "x", "from": "y", "info": {"embedding_length": float("inf")}}, InvalidRecipe, "non-negative integer"),
    ({"model": "x", "from": "y", "template": "{{ .Prompt"}, InvalidRecipe, "template error: "),
    ({"model": "x", "from": "y", "quantize": "Q9"}, UnknownQuantization, "type Q9 - supported types are F32"),
    ({"model": "x", "from": "y", "quantization": "iq2_xs"}, UnknownQuantization, "IQ2_XS needs an importance matrix"),
    ({"model": "x", "from": "y", "draft_quantize": "Q4_0"}, InvalidRecipe, "--draft-quantize requires a DRAFT model"),
    ({"model": "x", "from": "y", "adapters": {"../a": NOTHING}}, InvalidRecipe, "file path must be relative"),
    ({"model": "x", "from": "y", "draft_files": {"a": "zz"}}, InvalidDigest, "invalid digest format"),
    ({"model": "x", "from": "y", "remote_host": "https://ollama.com"}, InvalidRecipe, "another server (https://ollama.com)"),
    ({"model": "x", "from": "y", "requires": "soon"}, InvalidRecipe, "requires must be a valid semver (e.g. 0.14.0)"),
    ({"model": "x", "from": "y", "requires": "0.34"}, InvalidRecipe, "this model requires version 0.34"),
    ({"model": "x", "from": "y", "parameters": {"temperature": "hot"}}, InvalidRecipe, "not string 'hot'"),
    ({"model": "x", "from": "y", "parameters": {"num_ctx": 1.5}}, InvalidRecipe, "'num_ctx' must be a whole number"),
    ({"model": "x", "from": "y", "parameters": {"stop": [1]}}, InvalidRecipe, "must be a text or a list of texts"),
    ({"model": "x", "from": "y", "parameters": {"use_mmap": 1}}, InvalidRecipe, "'use_mmap' must be true or false"),
    ({"model": "x", "from": "y", "parameters": {"top_p": 1e39}}, InvalidRecipe, "'top_p' must be a number"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "kind", "says"), BAD)
def test_a_bad_request_is_refused_before_any_file_is_looked_at(
    fields: dict[str, object], kind: type[TropaError], says: str
) -> None:
    with pytest.raises(kind) as caught:
        recipe(fields)
    assert says in str(caught.value)


def test_the_old_spelling_of_the_name_is_known() -> None:
    assert recipe({"name": "x", "from": "y"}).name == Name.parse("x")


def test_nothing_old_is_removed_when_the_user_forbids_it(tmp_path: Path) -> None:
    library = Library(tmp_path / "models", prune=False)
    make(library, "x", system="a")
    make(library, "x", system="b")
    assert unused(library.store) != []
    for path in library.store.blobs.folder.iterdir():
        os.utime(path, (1, 1))
    library.open()
    assert unused(library.store) != []
