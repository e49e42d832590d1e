"""Tools of a response: which of them the model is told of, and under which name the client hears of a call."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.sse import frames, joined, stream
from tropa.server.openai.responses import toolbox
from tropa.server.openai.responses.described import Described
from tropa.server.openai.responses.output import Output
from tropa.server.openai.responses.request import asked
from tropa.server.reading import BadField, Fields
from tropa.service.events import End, Piece

OWN = {"type": "function", "name": "f", "parameters": {"type": "object"}}
SPACE = {
    "type": "namespace",
    "name": "crm",
    "description": "x",
    "tools": [
        {"type": "function", "name": "find", "parameters": {"type": "object"}},
        {"type": "custom", "name": "query"},
    ],
}


def names(tools: toolbox.Tools) -> list[str]:
    return [tool["function"]["name"] for tool in tools.box.tools]


def read(*tools: Any, **fields: Any) -> toolbox.Tools:
    return toolbox.read(Fields({"model": "m", "input": "x", "tools": [*tools], **fields}))


def test_what_only_openai_runs_is_left_out_of_an_agents_tools_and_told() -> None:
    """As Codex sends them to every server, beside its own."""
    tools = read(OWN, {"type": "web_search", "external_web_access": False}, {"type": "image_generation"})
    assert names(tools) == ["f"]
    assert tools.left_out == ("web_search", "image_generation")
    assert [tool["type"] for tool in tools.shown] == ["function"]


@pytest.mark.parametrize("kind", ["web_search", "web_search_preview_2025_03_11", "mcp", "code_interpreter"])
def test_who_wants_nothing_but_what_only_openai_runs_is_refused(kind: str) -> None:
    with pytest.raises(BadField, match="runs no tools of its own") as caught:
        read({"type": kind})
    assert caught.value.path == "tools[0].type"


def test_a_kind_of_tool_that_nobody_knows_is_refused() -> None:
    with pytest.raises(BadField, match='is "wizard"'):
        read(OWN, {"type": "wizard", "name": "w"})


def test_a_tool_that_is_left_out_cannot_be_chosen() -> None:
    with pytest.raises(BadField, match="tool_choice"):
        read(OWN, {"type": "web_search"}, tool_choice={"type": "web_search"})


async def test_a_call_in_a_namespace_is_told_with_it() -> None:
    fields = Fields({"model": "m", "input": "x", "tools": [SPACE]})
    tools = toolbox.read(fields)
    assert names(tools) == ["crm.find", "crm.query"]
    output = Output(Described(fields, asked(fields, {"type": "http"}, tools), tools))
    calls = (
        {"id": "a", "function": {"name": "crm.find", "arguments": {"x": 1}}},
        {"id": "b", "function": {"name": "crm.query", "arguments": {"input": "select"}}},
    )
    last = frames(await joined(output.frames(stream([Piece(tool_calls=calls), End("stop")]))))[-1]
    find, query = last.data["response"]["output"]
    assert (find["type"], find["namespace"], find["name"]) == ("function_call", "crm", "find")
    assert (query["type"], query["namespace"], query["name"]) == ("custom_tool_call", "crm", "query")
    assert query["input"] == "select"
    assert last.data["response"]["tools"] == [SPACE]


def test_a_call_in_a_namespace_comes_back_as_the_model_knew_it() -> None:
    item = {"type": "function_call", "call_id": "a", "namespace": "crm", "name": "find", "arguments": "{}"}
    fields = Fields({"model": "m", "input": [{"role": "user", "content": "x"}, item], "tools": [SPACE]})
    ask = asked(fields, {"type": "http"}, toolbox.read(fields))
    assert ask.messages[-1]["tool_calls"][0]["function"]["name"] == "crm.find"


def test_a_grammar_of_a_custom_tool_is_told_in_words() -> None:
    form = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
    (tool,) = read({"type": "custom", "name": "patch", "description": "Edits.", "format": form}).box.tools
    assert tool["function"]["description"].startswith("Edits.")
    assert "lark" in tool["function"]["description"]
    assert "start: WORD" in tool["function"]["description"]
