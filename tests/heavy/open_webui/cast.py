"""Models that play one part each: real ones for the engine, and each says what a test wants to see on the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support import models
from tests.support.ear import ear
from tests.support.projector import projector
from tests.support.scripted import scripted
from tests.support.server import Server

TOLD = (
    '{{ $last := "" }}{{ range .Messages }}{{ $last = .Role }}{{ end }}{{ if .Tools }}{{ end }}'
    '{{ if eq $last "tool" }}<told>{{ else }}<go>{{ end }}'
)
"""Knows tools, and asks differently once a tool has answered. What was said is left out: a word there costs a token
for each letter, and what these models say doesn't depend on it."""

PLACE = "{{ range .Messages }}{{ .Content }}{{ end }}"
"""Where an image or a sound stands."""

CALL = '{"name": "get_current_timestamp", "arguments": {}}'
"""Of a tool that Open WebUI brings along."""

DESK = {
    "title": "About noon",
    "tags": ["Clocks"],
    "follow_ups": ["And at midnight?"],
    "queries": ["noon"],
}
"""An answer to all that Open WebUI asks on the side: each time it takes what it looks for."""

TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
SCRIPTS: dict[str, dict[str, list[str | bytes]]] = {
    "caller": {"<go>": ["<tool_call>", CALL, "</tool_call>"], "<told>": ["It is ", "noon", "."]},
    "desk": {"<go>": [json.dumps(DESK)]},
    "thinker": {"<go>": ["<think>", "High ", "sun?", "</think>", "It is ", "noon", "."]},
    "reader": {"<go>": ["It says ", "noon", "."]},
}


def gather(server: Server, folder: Path) -> None:
    """Put them all into the server's library."""
    for name, script in SCRIPTS.items():
        path = scripted(folder / f"{name}.gguf", script, special=TAGS)
        thinks = (
            "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ end }}"
            if name == "thinker"
            else ""
        )
        server.create(name, path, template=thinks + TOLD)
    _with(server, "seer", scripted(folder / "seer.gguf", {"<go>": ["Red."]}), projector(folder / "eye.gguf"))
    _with(
        server, "ear", scripted(folder / "ear.gguf", {"<go>": ["Good ", "noon."]}), ear(folder / "hears.gguf")
    )
    server.create("embedder", models.bert(folder / "embedder.gguf"))
    endless = {"template": "{{ .Prompt }}{{ if .Tools }}{{ end }}", "parameters": {"num_ctx": 8192}}
    server.create("slow", models.llama_100m(folder / "slow.gguf"), **endless)


def _with(server: Server, name: str, path: Path, projector: Path) -> None:
    files = {each.name: server.upload(each) for each in (path, projector)}
    asked: dict[str, Any] = {"model": name, "files": files, "template": PLACE + TOLD}
    answer = server.post("/api/create", asked)
    assert answer.lines[-1] == {"status": "success"}, answer.lines
