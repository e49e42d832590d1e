"""Texts from outside that nobody thought of: an error of ours, or an answer, and never anything else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tropa.errors import TropaError
from tropa.library import manifest
from tropa.registry.challenge import parse
from tropa.registry.content import media_type, model_of
from tropa.registry.remote import is_loopback, origin, shown

PIECES = st.sampled_from(
    ["Bearer ", "Basic ", "realm", "scope", "=", '"', ",", " ", "\\", "x", "https://a/t", ""]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
DESCRIPTOR = st.fixed_dictionaries(
    {},
    optional={
        "mediaType": st.sampled_from([manifest.MODEL, manifest.CONFIG, manifest.TENSOR, "", "x"]) | JSON,
        "digest": st.sampled_from(["sha256:" + "a" * 64, "sha256-" + "B" * 64, "../x", ""]) | JSON,
        "size": st.integers() | JSON,
        "platform": JSON,
    },
)
MANIFEST = st.fixed_dictionaries(
    {},
    optional={
        "schemaVersion": st.sampled_from([1, 2]) | JSON,
        "mediaType": st.text() | JSON,
        "config": DESCRIPTOR | JSON,
        "layers": st.lists(DESCRIPTOR | JSON, max_size=3) | JSON,
        "manifests": st.lists(DESCRIPTOR | JSON, max_size=3) | JSON,
    },
)


@given(st.lists(PIECES, max_size=40).map("".join) | st.text())
def test_any_challenge_is_understood_somehow(header: str) -> None:
    for found in parse([header, header]):
        assert found.scheme


@settings(max_examples=300)
@given(MANIFEST | JSON, st.binary(max_size=40))
def test_any_manifest_is_a_model_or_an_error(value: Any, other: bytes) -> None:
    for data in (json.dumps(value).encode(), other):
        assert media_type(data).isprintable()
        try:
            _, found = model_of(data, "https://h/v2/a/b/manifests/t", lambda digest: other)
        except TropaError:
            continue
        assert all(layer.blob and layer.size >= 0 for layer in found.blobs())


@given(
    st.text()
    | st.lists(st.sampled_from(["http", "s", ":", "//", "[", "]", "@", "1", "h", "/", "?"])).map("".join)
)
def test_any_address_can_be_looked_at(url: str) -> None:
    assert "@" not in shown(f"http://user:pass@h/{url.partition('@')[0]}")
    origin(url)
    is_loopback(url)
    shown(url)
