"""Models imported over HTTP from what training leaves: their answers are those of the originals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.goldens import folder, golden, minilm
from tests.goldens.engine import SAME_DIRECTION, cosine
from tests.goldens.specs import SPECS
from tests.library.convert import adapters as lora
from tests.support.places import short_folder
from tests.support.server import Server, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with short_folder() as place, serving(place) as server:
        yield server


def upload(server: Server, files: Mapping[str, Path]) -> dict[str, str]:
    found = {}
    for name, path in files.items():
        data = path.read_bytes()
        found[name] = f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert server.post(f"/api/blobs/{found[name]}", data).status in (200, 201)
    return found


def create(server: Server, model: str, **fields: Any) -> None:
    reply = server.post("/api/create", model=model, stream=False, **fields)
    assert (reply.status, reply.json.get("status")) == (200, "success"), reply.body


def said(server: Server, model: str, prompt: str) -> str:
    options = {"temperature": 0, "num_predict": golden.STEPS, "num_ctx": 256}
    reply = server.post("/api/generate", model=model, prompt=prompt, raw=True, stream=False, options=options)
    assert reply.status == 200, reply.body
    text: str = reply.json["response"]
    return text


def test_an_adapter_over_a_base_answers_as_both_merged(server: Server, tmp_path: Path) -> None:
    a, b = lora.trained("glm4", tmp_path / "a")
    create(server, "base", files=upload(server, folder.files(folder.write(SPECS["glm4"], tmp_path / "base"))))
    adapter = lora.peft(a, b, {"lora_alpha": 8}, tmp_path / "l")
    create(server, "adapted", **{"from": "base"}, adapters=upload(server, adapter))
    whole = lora.merged("glm4", a, b, dict.fromkeys(a, 2.0), tmp_path / "m")
    create(server, "merged", files=upload(server, {"merged.gguf": whole}))
    prompt = golden.PROMPTS[0]
    assert said(server, "adapted", prompt) == said(server, "merged", prompt) != said(server, "base", prompt)
    assert any(line.startswith("ADAPTER ") for line in show(server, "adapted")["modelfile"].splitlines())


def show(server: Server, model: str) -> dict[str, Any]:
    found: dict[str, Any] = server.post("/api/show", model=model).json
    return found


def test_an_adapter_for_another_base_is_refused(server: Server, tmp_path: Path) -> None:
    create(
        server, "other", files=upload(server, folder.files(folder.write(SPECS["qwen2"], tmp_path / "base")))
    )
    a, b = lora.trained("phi3", tmp_path / "a")
    adapter = upload(server, lora.peft(a, b, {"lora_alpha": 8}, tmp_path / "l"))
    reply = server.post("/api/create", {"model": "x", "from": "other", "adapters": adapter, "stream": False})
    assert reply.status == 400
    assert "which the base model (qwen2) does not have" in reply.error
    assert server.post("/api/show", model="x").status == 404


def test_the_real_minilm_embeds_as_the_original(server: Server) -> None:
    create(server, "minilm", files=upload(server, folder.files(minilm.required())))
    assert show(server, "minilm")["capabilities"] == ["embedding"]
    expected = golden.load(minilm.NAME).embeddings
    reply = server.post("/api/embed", model="minilm", input=[each.text for each in expected])
    assert reply.status == 200, reply.body
    for each, vector in zip(expected, reply.json["embeddings"], strict=True):
        assert cosine(vector, each.vector) > SAME_DIRECTION, each.text
