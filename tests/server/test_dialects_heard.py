"""Thinking, words, calls and images in the OpenAI and Anthropic dialects, from a model that says what a test wants."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.places import short_folder
from tests.support.projector import picture, projector
from tests.support.scripted import scripted
from tests.support.server import Server
from tests.support.sse import frames

TEMPLATE = (
    "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ if .ToolCalls }}"
    "{{ range .ToolCalls }}<tool_call>{{ .Function }}</tool_call>{{ end }}{{ end }}{{ .Content }}{{ end }}"
    "{{ if .Tools }}{{ end }}<go>"
)
CALLS = [f'{{"name": "now", "arguments": {{"zone": "{zone}"}}}}' for zone in ("UTC", "CET")]
SAID = ["<think>", "hm", "m", "</think>", "Let me ", "see.", "<tool_call>", CALLS[0], "</tool_call>"]
TAGS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]
PARAMETERS = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
ASKED = [{"role": "user", "content": "What time is it?"}]
TOOLS = {
    "/v1/chat/completions": [
        {"type": "function", "function": {"name": "now", "description": "x", "parameters": PARAMETERS}}
    ],
    "/v1/responses": [{"type": "function", "name": "now", "parameters": PARAMETERS}],
    "/v1/messages": [{"name": "now", "input_schema": PARAMETERS}],
}
PATHS = sorted(TOOLS)


@pytest.fixture(scope="module")
def models(server: Server) -> Server:
    with short_folder() as folder:
        server.create("all", scripted(folder / "all.gguf", {"<go>": SAID}, special=TAGS), template=TEMPLATE)
        path = scripted(folder / "one.gguf", {"<go>": ["<tool_call>", *CALLS, "</tool_call>"]}, special=TAGS)
        server.create("calls", path, template=TEMPLATE)
        sees = scripted(folder / "sees.gguf", {"<go>": ["Yes"]})
        files = {each.name: server.upload(each) for each in (sees, projector(folder / "mmproj.gguf"))}
        answer = server.post("/api/create", model="sees", files=files, template=TEMPLATE)
        assert answer.lines[-1] == {"status": "success"}
    return server


def post(server: Server, path: str, *, stream: bool, **fields: Any) -> Any:
    """The whole answer; of a stream, its frames."""
    body: dict[str, Any] = {"temperature": 0, "stream": stream, "max_tokens": 50, **fields}
    if path == "/v1/responses":
        body["input"] = body.pop("messages")
    answer = server.post(path, body)
    assert answer.status == 200, answer.body
    return frames(answer.body) if stream else answer.json


def heard(path: str, answer: Any) -> tuple[str, str, list[tuple[str, Any]], str]:
    """Thinking, words, calls, and why it ended."""
    match path, answer:
        case "/v1/chat/completions", list():
            choices = [frame.data["choices"][0] for frame in answer[:-1]]
            deltas = [choice["delta"] for choice in choices]
            calls = [call["function"] for delta in deltas for call in delta.get("tool_calls", [])]
            thinking = "".join(delta.get("reasoning", "") for delta in deltas)
            text = "".join(delta.get("content", "") for delta in deltas)
            return thinking, text, _read(calls), choices[-1]["finish_reason"]
        case "/v1/chat/completions", _:
            (choice,) = answer["choices"]
            message = choice["message"]
            calls = [call["function"] for call in message.get("tool_calls", [])]
            return message.get("reasoning", ""), message["content"], _read(calls), choice["finish_reason"]
        case "/v1/responses", _:
            whole = answer[-1].data["response"] if isinstance(answer, list) else answer
            kinds = {kind: [item for item in whole["output"] if item["type"] == kind] for kind in ITEMS}
            thinking = "".join(item["summary"][0]["text"] for item in kinds["reasoning"])
            text = "".join(item["content"][0]["text"] for item in kinds["message"])
            return thinking, text, _read(kinds["function_call"]), whole["status"]
        case _, list():
            deltas = [frame.data["delta"] for frame in answer if frame.event == "content_block_delta"]
            starts = [frame.data["content_block"] for frame in answer if frame.event == "content_block_start"]
            names = [block["name"] for block in starts if block["type"] == "tool_use"]
            inputs = [json.loads(delta["partial_json"]) for delta in deltas if "partial_json" in delta]
            thinking = "".join(delta.get("thinking", "") for delta in deltas)
            text = "".join(delta.get("text", "") for delta in deltas)
            return thinking, text, [*zip(names, inputs, strict=True)], answer[-2].data["delta"]["stop_reason"]
        case _:
            kinds = {kind: [each for each in answer["content"] if each["type"] == kind] for kind in BLOCKS}
            thinking = "".join(block["thinking"] for block in kinds["thinking"])
            text = "".join(block["text"] for block in kinds["text"])
            calls = [(block["name"], block["input"]) for block in kinds["tool_use"]]
            return thinking, text, calls, answer["stop_reason"]


ITEMS = ("reasoning", "message", "function_call")
BLOCKS = ("thinking", "text", "tool_use")


def _read(calls: list[Any]) -> list[tuple[str, Any]]:
    return [(call["name"], json.loads(call["arguments"])) for call in calls]


ENDS = {"/v1/chat/completions": "tool_calls", "/v1/responses": "completed", "/v1/messages": "tool_use"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_what_a_model_thinks_says_and_calls_is_told_apart(models: Server, path: str, stream: bool) -> None:
    fields: dict[str, Any] = {"thinking": {"type": "enabled"}} if path == "/v1/messages" else {}
    answer = post(models, path, stream=stream, model="all", messages=ASKED, tools=TOOLS[path], **fields)
    assert heard(path, answer) == ("hmm", "Let me see.", [("now", {"zone": "UTC"})], ENDS[path])


@pytest.mark.parametrize("path", PATHS)
def test_a_tool_that_may_not_be_called_is_not(models: Server, path: str) -> None:
    choice = {"type": "none"} if path == "/v1/messages" else "none"
    answer = post(
        models, path, stream=False, model="calls", messages=ASKED, tools=TOOLS[path], tool_choice=choice
    )
    assert heard(path, answer)[2] == []


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_an_answer_has_one_call_where_that_is_asked(models: Server, path: str, stream: bool) -> None:
    one: dict[str, Any] = {"parallel_tool_calls": False}
    if path == "/v1/messages":
        one = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    asked: dict[str, Any] = {"model": "calls", "messages": ASKED, "tools": TOOLS[path]}
    assert len(heard(path, post(models, path, stream=stream, **asked))[2]) == 2
    assert heard(path, post(models, path, stream=stream, **asked, **one))[2] == [("now", {"zone": "UTC"})]


IMAGES = {
    "/v1/chat/completions": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture()}"}},
    "/v1/responses": {"type": "input_image", "image_url": f"data:image/png;base64,{picture()}"},
    "/v1/messages": {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": picture()},
    },
}


@pytest.mark.parametrize("path", PATHS)
def test_an_image_is_seen(models: Server, path: str) -> None:
    text = {"type": "input_text" if path == "/v1/responses" else "text", "text": "What is it?"}

    def ask(*parts: Any) -> int:
        answer = post(
            models, path, stream=False, model="sees", messages=[{"role": "user", "content": [*parts]}]
        )
        assert heard(path, answer)[1] == "Yes"
        usage = answer["usage"]
        taken: int = usage.get("prompt_tokens") or usage["input_tokens"]
        return taken + int(usage.get("cache_read_input_tokens", 0))

    assert ask(text, IMAGES[path]) > ask(text)
