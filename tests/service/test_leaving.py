"""A client that leaves frees its slot, also where the prompt and the hearing are ours."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service.talking import GREEDY, TOOL, user
from tests.support.places import short_folder
from tests.support.processes import until
from tests.support.scripted import scripted
from tests.support.server import Server

GO = (
    "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ if .ToolCalls }}<call>{{ end }}"
    "{{ .Content }}{{ end }}{{ if .Tools }}{{ end }}<go>"
)
ROUND = [f"w{number} " for number in range(40)]


@pytest.fixture(scope="module")
def models(server: Server) -> Server:
    """They talk until their context is full, or think so long."""
    with short_folder() as folder:
        for name, start in (("talks", []), ("thinks", ["<think>"])):
            path = scripted(folder / f"{name}.gguf", {"<go>": [*start, *ROUND, ROUND[0]]}, context=32768)
            server.create(name, path, template=GO, parameters={"num_ctx": 32768})
    return server


@pytest.mark.parametrize("model", ["talks", "thinks"])
@pytest.mark.parametrize(
    "fields",
    [{}, {"tools": [TOOL]}, {"format": {"type": "array", "items": {"type": "integer"}, "minItems": 1500}}],
    ids=str,
)
def test_who_leaves_frees_the_slot(models: Server, model: str, fields: dict[str, Any]) -> None:
    with models.stream("/api/chat", model=model, messages=[user("Hi")], options=GREEDY, **fields) as records:
        assert not next(records)["done"]
        assert models.busy(f"{model}:latest") == 1
    until(lambda: models.busy(f"{model}:latest") == 0, "the slot is free", within=5)
