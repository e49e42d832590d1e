"""`POST /api/show` of a model that has something of everything, with the fields in the order that clients know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gguf.mutants import model, vision
from tests.support.places import short_folder
from tests.support.server import Server, serving

FIELDS = """
license modelfile parameters template system details messages model_info projector_info tensors capabilities
modified_at requires
"""
TEMPLATE = "{{ .System }}{{ range .Messages }}{{ .Role }}{{ .Content }}{{ end }}{{ .Tools }}{{ .Suffix }}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with short_folder() as folder, serving(folder) as server:
        files = {}
        for name, raw in (("text.gguf", model()), ("vision.gguf", vision())):
            content = raw.encode()
            files[name] = f"sha256:{hashlib.sha256(content).hexdigest()}"
            assert server.request("POST", f"/api/blobs/{files[name]}", content).status == 201
        made = server.post(
            "/api/create",
            model="all",
            files=files,
            template=TEMPLATE,
            system="Be brief.",
            license=["MIT License\nof some", "Another"],
            parameters={"stop": ["<|end|>"], "num_ctx": 32},
            messages=[{"role": "user", "content": "hi"}],
            requires="0.6.0",
        )
        assert made.lines[-1] == {"status": "success"}
        yield server


def shown(server: Server, **fields: Any) -> dict[str, Any]:
    answer: dict[str, Any] = server.post("/api/show", model="all", **fields).json
    return answer


def test_every_field_is_there_and_in_order(server: Server) -> None:
    answer = shown(server)
    assert [*answer] == FIELDS.split()
    assert answer["license"] == "MIT License\nof some\nAnother"
    assert answer["parameters"].splitlines() == [f"{'num_ctx':<30} 32", f'{"stop":<30} "<|end|>"']
    assert answer["template"] == TEMPLATE
    assert answer["messages"] == [{"role": "user", "content": "hi"}]
    assert sorted(answer["capabilities"]) == ["completion", "insert", "tools", "vision"]
    assert answer["projector_info"]["clip.vision.block_count"] == 1
    assert answer["projector_info"]["general.parameter_count"] == 128
    assert answer["requires"] == "0.6.0"
    assert answer["tensors"][0] == {"name": "token_embd.weight", "type": "F32", "shape": [32, 4]}


def test_arrays_are_shown_to_those_who_ask_for_all(server: Server) -> None:
    brief, verbose = shown(server)["model_info"], shown(server, verbose=True)["model_info"]
    assert [*brief] == [*verbose]
    assert brief["tokenizer.ggml.tokens"] is None
    assert verbose["tokenizer.ggml.tokens"] == [f"w{number}" for number in range(40)]
    assert verbose["llama.attention.sliding_window_pattern"] == [True, False]
    assert "tokenizer.chat_template" not in verbose


def test_one_client_is_told_the_name_that_it_asked_for(server: Server) -> None:
    body = json.dumps({"model": "all"}).encode()
    answer = server.request("POST", "/api/show", body, {"User-Agent": "GitHubCopilotChat/0.26.7"})
    assert answer.json["model_info"]["general.basename"] == "all"
    assert "general.basename" not in shown(server)["model_info"]
