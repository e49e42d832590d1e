"""A model that no check has met, as a pull brings it: what the engine can't run is refused with words that help."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import pytest

from tests.gguf.mutants import model
from tests.gguf.raw import RawTensor
from tests.library.making import gguf
from tests.support.places import short_folder
from tests.support.server import Server, serving
from tropa.library import manifest


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with short_folder() as folder, serving(folder) as server:
        yield server


def place(server: Server, name: str, weights: bytes) -> None:
    """Into the store by hand, as another program would."""
    layers = []
    for kind, content in ((manifest.CONFIG, b"{}"), (manifest.MODEL, weights)):
        digest = hashlib.sha256(content).hexdigest()
        blob = server.models / "blobs" / f"sha256-{digest}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        layers.append({"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)})
    file = server.models / "manifests" / "registry.ollama.ai" / "library" / name / "latest"
    file.parent.mkdir(parents=True)
    body = {"schemaVersion": 2, "mediaType": manifest.MEDIA_TYPE, "config": layers[0], "layers": layers[1:]}
    file.write_text(json.dumps(body))


def test_an_unknown_architecture_is_named_with_those_that_are_known(server: Server) -> None:
    place(server, "foo", gguf("foo"))
    for path, more in (
        ("/api/generate", {"prompt": "x"}),
        ("/api/chat", {"messages": [{"role": "user", "content": "x"}]}),
    ):
        answer = server.post(path, {"model": "foo", **more})
        assert answer.status == 400
        for part in ('unsupported architecture "foo"', "'foo:latest'", "llama", "TROPA_LLAMA_SERVER"):
            assert part in answer.error
    assert server.post("/api/show", {"model": "foo"}).status == 200  # to look at it is no harm


def test_a_vision_part_inside_the_language_model_is_refused_before_the_engine_starts(server: Server) -> None:
    raw = model()
    raw.tensors.append(RawTensor("v.patch_embd.weight", (32, 4), 0, 2048))
    raw.data += bytes(512)
    place(server, "sees", raw.encode())
    answer = server.post("/api/generate", {"model": "sees", "prompt": "x"})
    assert answer.status == 400
    assert "vision part inside the language model (1 tensors named v.*)" in answer.error
