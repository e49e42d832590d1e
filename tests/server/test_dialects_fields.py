"""Fields of the OpenAI and Anthropic dialects that can't be honoured as they are: each is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.dialects import HI, told
from tests.support.server import Server

TOOL = {"type": "function", "function": {"name": "f", "description": "x", "parameters": {"type": "object"}}}

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/chat/completions", {"messages": "x"}, "messages"),
    ("/v1/chat/completions", {"messages": ["x"]}, "messages[0]"),
    ("/v1/chat/completions", {"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
    ("/v1/chat/completions", {"messages": [{"role": "user"}]}, "messages[0].content"),
    (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": [{}]}]},
        "messages[0].content[0].type",
    ),
    ("/v1/chat/completions", {"temperature": "hot"}, "temperature"),
    ("/v1/chat/completions", {"stream": "false"}, "stream"),
    ("/v1/chat/completions", {"max_tokens": 1.5}, "max_tokens"),
    ("/v1/chat/completions", {"n": 0}, "n"),
    ("/v1/chat/completions", {"logit_bias": {"x": 1}}, "logit_bias"),
    ("/v1/chat/completions", {"logit_bias": {"1": 101}}, "logit_bias"),
    ("/v1/chat/completions", {"top_logprobs": 3}, "top_logprobs"),
    ("/v1/chat/completions", {"response_format": {"type": "xml"}}, "response_format.type"),
    (
        "/v1/chat/completions",
        {"response_format": {"type": "json_schema"}},
        "response_format.json_schema.schema",
    ),
    ("/v1/chat/completions", {"reasoning_effort": "enormous"}, "reasoning_effort"),
    ("/v1/chat/completions", {"reasoning": {"effort": "enormous"}}, "reasoning.effort"),
    ("/v1/chat/completions", {"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
    ("/v1/chat/completions", {"tool_choice": "required"}, "tool_choice"),
    ("/v1/chat/completions", {"tool_choice": "perhaps"}, "tool_choice"),
    (
        "/v1/chat/completions",
        {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice",
    ),
    ("/v1/chat/completions", {"functions": [{"name": "f"}]}, "functions"),
    ("/v1/chat/completions", {"modalities": ["text", "audio"]}, "modalities"),
    ("/v1/completions", {"logprobs": 1, "echo": True, "prompt": "x"}, "echo"),
    ("/v1/embeddings", {"input": [1, 2]}, "input"),
    ("/v1/embeddings", {"input": "x", "encoding_format": "hex"}, "encoding_format"),
    ("/v1/responses", {"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
    ("/v1/responses", {"input": [{"type": "what"}]}, "input[0].type"),
    ("/v1/responses", {"input": "x", "background": True}, "background"),
    (
        "/v1/responses",
        {"input": "x", "tools": [{"type": "custom", "name": "f", "format": {"type": "grammar"}}]},
        "tools[0].format.definition",
    ),
    (
        "/v1/responses",
        {"input": "x", "tools": [{"type": "custom", "name": "f", "format": {"type": "xml"}}]},
        "tools[0].format.type",
    ),
    ("/v1/responses", {"input": "x", "conversation": "c"}, "conversation"),
    ("/v1/responses", {"input": "x", "tools": [{"type": "web_search"}]}, "tools[0].type"),
    ("/v1/responses", {"input": "x", "text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
    ("/v1/responses", {"input": "x", "previous_response_id": "resp_1"}, "previous_response_id"),
    ("/v1/responses", {"input": "x", "prompt": {"id": "p"}}, "prompt"),
    ("/v1/responses", {"input": "x", "n": 2}, "n"),
    ("/v1/responses", {"input": "x", "response_format": {"type": "json_object"}}, "response_format"),
    ("/v1/responses", {"input": "x", "moderation": {"model": "m"}}, "moderation"),
    ("/v1/responses", {"messages": HI}, "messages"),
    ("/v1/chat/completions", {"best_of": 3}, "best_of"),
    ("/v1/chat/completions", {"echo": True}, "echo"),
    ("/v1/chat/completions", {"previous_response_id": "resp_1"}, "previous_response_id"),
    ("/v1/chat/completions", {"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
    ("/v1/chat/completions", {"format": "xml"}, "format"),
    ("/v1/chat/completions", {"guided_json": {"type": "object"}}, "guided_json"),
    ("/v1/chat/completions", {"think": 7}, "think"),
    ("/v1/chat/completions", {"chat_template_kwargs": {"x": 1}}, "chat_template_kwargs.x"),
    (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]}]},
        "messages[0].content[0].type",
    ),
    (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages[0].content[0].text",
    ),
    (
        "/v1/responses",
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        "input[0].content[0].text",
    ),
    ("/v1/responses", {"input": [{"type": "function_call_output", "call_id": "a"}]}, "input[0].output"),
    ("/v1/completions", {"messages": HI}, "messages"),
    ("/v1/completions", {"prompt": "x", "best_of": 2}, "best_of"),
    ("/v1/completions", {"prompt": "x", "tools": [TOOL]}, "tools"),
    ("/v1/messages", {"messages": HI, "mcp_servers": [{"type": "url"}]}, "mcp_servers"),
    ("/v1/messages", {"messages": HI, "container": "x"}, "container"),
    (
        "/v1/messages",
        {"messages": HI, "thread": {"type": "continue", "previous_message_id": "x"}},
        "thread",
    ),
    (
        "/v1/messages",
        {"messages": HI, "tools": [{"type": "computer_20250124", "name": "computer"}]},
        "tools[0].type",
    ),
    (
        "/v1/messages",
        {"messages": HI, "tools": [{"type": "browser_toolset_20260801", "name": "browser"}]},
        "tools[0].type",
    ),
    ("/v1/messages", {"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
    (
        "/v1/messages",
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        "messages[0].content[0].text",
    ),
    ("/v1/messages", {"messages": HI, "system": [{"type": "text"}]}, "system[0].text"),
]
ANTHROPIC = "/v1/messages"


@pytest.mark.parametrize(("path", "body", "field"), WRONG, ids=lambda value: str(value)[:50])
def test_the_error_names_the_field(server: Server, path: str, body: dict[str, Any], field: str) -> None:
    asked: dict[str, Any] = {"messages": HI} if path == "/v1/chat/completions" else {}
    if path == ANTHROPIC:
        asked["max_tokens"] = 1
    answer = server.post(path, {"model": "tiny", **asked, **body})
    assert answer.status == 400
    error = told(path, answer)
    assert path == ANTHROPIC or error["param"] == field
    assert f"'{field}'" in error["message"]


def test_keys_in_any_letter_case_and_null_fields_are_taken(server: Server) -> None:
    body = {
        "MODEL": "tiny",
        "Messages": [{"Role": "User", "CONTENT": "Hi"}],
        "Max_Tokens": 1,
        "stop": None,
        "n": None,
    }
    assert server.post("/v1/chat/completions", body).json["usage"]["completion_tokens"] == 1
