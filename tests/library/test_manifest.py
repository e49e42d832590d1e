from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropa.library import manifest
from tropa.library.digest import Digest, InvalidDigest
from tropa.library.errors import InvalidManifest
from tropa.library.manifest import Config, Layer

HEX = "ab" * 32
LAYER = {"mediaType": manifest.MODEL, "digest": f"sha256:{HEX}", "size": 7}


def test_a_digest_is_lower_case_and_has_two_spellings() -> None:
    digest = Digest.parse(f"sha256-{HEX.upper()}")
    assert digest == Digest.parse(f"sha256:{HEX}")
    assert (str(digest), digest.file_name) == (f"sha256:{HEX}", f"sha256-{HEX}")


@pytest.mark.parametrize(
    "text",
    ["", HEX, f"sha256:{HEX[:-1]}", f"sha256:{HEX}0", f"md5:{HEX}", f"sha256:{HEX}\n", f"sha256:../{HEX}", None, 7],
)  # fmt: skip
def test_other_texts_are_no_digest(text: object) -> None:
    with pytest.raises(InvalidDigest, match="invalid digest format"):
        Digest.parse(text)


def test_a_digest_cannot_be_made_from_anything_else() -> None:
    with pytest.raises(InvalidDigest):
        Digest("../../etc/passwd")


def test_unknown_fields_and_media_types_do_no_harm() -> None:
    data = json.dumps({"new": [1, {}], "layers": [{**LAYER, "annotations": {}, "mediaType": "x/y"}]}).encode()
    assert manifest.parse(data).layers == [Layer("x/y", f"sha256:{HEX}", 7)]


def test_only_the_first_value_of_the_file_counts() -> None:
    data = json.dumps({"layers": [LAYER]}).encode()
    assert manifest.parse(b" \n" + data + b"\n{]") == manifest.parse(data)


def test_null_is_the_same_as_nothing() -> None:
    data = json.dumps({"layers": [{**LAYER, "from": None}], "config": None, "schemaVersion": None}).encode()
    assert manifest.parse(data).layers == [Layer(manifest.MODEL, f"sha256:{HEX}", 7)]
    assert manifest.parse(b'{"layers": null}').size == 0


def test_the_size_counts_duplicates_and_the_config() -> None:
    data = json.dumps({"layers": [LAYER, LAYER], "config": {**LAYER, "size": 1}}).encode()
    assert manifest.parse(data).size == 15


HOSTILE = {
    "empty": b"",
    "blank": b" ",
    "cut short": b'{"layers": [',
    "a list": b"[]",
    "null": b"null",
    "not UTF-8": b'{"layers": "\xff"}',
    "deep": b'{"x":' * 100_000,
    "deep list": b'{"layers":' + b"[" * 100_000,
    "deep and unknown": b'{"y": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a path for a digest": json.dumps(
        {"layers": [{**LAYER, "digest": "sha256:../../../etc/passwd"}]}
    ).encode(),
    "no digest": b'{"layers": [{"mediaType": "x", "size": 1}]}',
    "a negative size": json.dumps({"layers": [{**LAYER, "size": -1}]}).encode(),
    "an absurd size": json.dumps({"layers": [{**LAYER, "size": 2**70}]}).encode(),
    "a fractional size": json.dumps({"layers": [{**LAYER, "size": 1.5}]}).encode(),
    "a config for a digest": json.dumps({"config": {**LAYER, "digest": {}}}).encode(),
    "too large": b'{"layers": []}' + b" " * manifest.MANIFEST_LIMIT,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_manifests_are_clear_errors(data: bytes) -> None:
    with pytest.raises(InvalidManifest) as caught:
        manifest.parse(data)
    assert "manifest" in str(caught.value)
    assert len(str(caught.value)) < 500


@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(f"sha256:{HEX}"),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["layers", "config", "digest", "size", "mediaType", "from", "x"]), inner),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_bytes_are_a_manifest_or_an_invalid_one(data: bytes) -> None:
    try:
        made = manifest.parse(data)
    except InvalidManifest:
        return
    assert made.size >= 0
    assert all(isinstance(digest, Digest) for digest in made.digests())


def test_what_is_composed_parses_back() -> None:
    layers = [
        Layer(manifest.MODEL, f"sha256:{HEX}", 7, source="llama3:latest"),
        Layer("a/b", f"sha256:{HEX}", 0),
    ]
    data = manifest.compose(Layer(manifest.CONFIG, f"sha256:{HEX}", 3), layers)
    assert manifest.parse(data).layers == layers
    assert data.endswith(b"}\n")
    assert b": " not in data
    assert json.loads(data)["layers"] == [
        {**LAYER, "from": "llama3:latest"},
        {**LAYER, "mediaType": "a/b", "size": 0},
    ]


def test_the_id_is_of_the_whole_file_whatever_its_length() -> None:
    assert manifest.identity(b"x" * 512 + b"\n") == Digest.of(b"x" * 512 + b"\n").hex


def test_a_config_keeps_what_its_base_had_and_we_do_not_know() -> None:
    made = manifest.compose_config(
        Config(model_format="gguf", renderer=""), [], {"draft": {"a": 1}, "renderer": "x"}
    )
    fields = msgspec.json.decode(made)
    assert fields["draft"] == {"a": 1}
    assert "renderer" not in fields
    assert (fields["architecture"], fields["os"]) == ("amd64", "linux")


def test_json_layers_are_written_as_the_reference_writes_them() -> None:
    assert manifest.go_json({"stop": ["<|a|>", "&"]}) == b'{"stop":["\\u003c|a|\\u003e","\\u0026"]}\n'
