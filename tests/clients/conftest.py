from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import models, tooltemplate
from tests.support.places import short_folder
from tests.support.scripted import scripted
from tests.support.server import Server, serving

ROUND = (
    '{{ $last := "" }}{{ range .Messages }}{{ $last = .Role }}{{ .Content }}{{ if .ToolCalls }}'
    "{{ range .ToolCalls }}<tool_call>{{ .Function }}</tool_call>{{ end }}{{ end }}{{ end }}"
    '{{ if .Tools }}{{ end }}{{ if eq $last "tool" }}<told>{{ else }}<go>{{ end }}'
)
"""What a model is asked differs once a tool has answered."""
CALL = '{"name": "now", "arguments": {"zone": "UTC"}}'


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all tests of a module: none of them may leave it in a state that another would notice."""
    with short_folder() as folder, serving(folder) as server:
        yield server


@pytest.fixture(scope="module")
def caller(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that calls `now(zone="UTC")`, and says "It is noon." to any answer of the tool."""
    path: Path = tmp_path_factory.mktemp("caller") / "caller.gguf"
    scripts = {"<go>": ["<tool_call>", CALL, "</tool_call>"], "<told>": ["It is ", "noon", "."]}
    scripted(path, scripts, special=["<tool_call>", "</tool_call>"])
    server.create("caller", path, template=ROUND)
    return "caller"


@pytest.fixture(scope="module")
def embedder(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An embedding model: 128 numbers for each text."""
    server.create("embedder", models.bert(tmp_path_factory.mktemp("bert") / "bert.gguf"))
    return "embedder"


@pytest.fixture(scope="module")
def tooly(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that says nonsense, and whose template knows tools."""
    path = tmp_path_factory.mktemp("tooly") / "tooly.gguf"
    server.create("tooly", models.llama(path, template=tooltemplate.TOOLS))
    return "tooly"


@pytest.fixture(scope="module")
def thinker(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that thinks, and never comes to an end with it."""
    path = tmp_path_factory.mktemp("thinker") / "thinker.gguf"
    server.create("thinker", models.llama(path, template=tooltemplate.THINKING))
    return "thinker"
