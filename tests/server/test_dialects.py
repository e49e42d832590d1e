"""How answers of the OpenAI and Anthropic dialects end that do not end well, and what is said of a prompt that was cut.
Every error arrives in the dialect of its asker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import models
from tests.support.dialects import HI, told
from tests.support.processes import until
from tests.support.server import Server, serving, whole
from tests.support.sse import frames

TOOL = {"type": "function", "function": {"name": "f", "description": "x", "parameters": {"type": "object"}}}

# Several seconds of text.
NUMBERS = {"type": "array", "items": {"type": "integer"}, "minItems": 1000}
ENDLESS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "messages": HI,
        "max_tokens": 1500,
        "response_format": {"type": "json_schema", "json_schema": {"schema": NUMBERS}},
    },
    "/v1/completions": {
        "prompt": "Hi",
        "max_tokens": 1500,
        "response_format": {"type": "json_schema", "json_schema": {"schema": NUMBERS}},
    },
    "/v1/responses": {
        "input": "Hi",
        "max_output_tokens": 1500,
        "text": {"format": {"type": "json_schema", "name": "x", "schema": NUMBERS}},
    },
    "/v1/messages": {
        "messages": HI,
        "max_tokens": 1500,
        "output_config": {"format": {"type": "json_schema", "schema": NUMBERS}},
    },
}


@contextmanager
def endless(server: Server, path: str, **fields: Any) -> Iterator[Callable[[], bytes]]:
    """An answer that has begun and will go on for a while. Yields what reads all of it."""
    body = {"model": "tiny", "stream": True, **ENDLESS[path], **fields}
    with server.asking("POST", path, body) as connection:
        response = connection.getresponse()
        assert response.status == 200
        assert response.getheader("Content-Type") == "text/event-stream"
        first = response.readline()
        assert first
        yield lambda: first + response.read()


@pytest.mark.parametrize("path", sorted(ENDLESS))
def test_an_engine_that_dies_in_a_stream_is_told_in_the_dialect(server: Server, path: str) -> None:
    assert server.post("/api/generate", model="tiny").status == 200
    engines = server.children()  # looked up before: the answer does not go on for ever
    with endless(server, path) as read:
        for engine in engines:
            engine.kill()
        last = frames(read())[-1]
    match path:
        case "/v1/messages":
            assert last.event == "error"
            assert last.data["error"]["type"] == "api_error"
            said = last.data["error"]["message"]
        case "/v1/responses":
            assert last.event == "response.failed"
            assert last.data["response"]["output"][0]["type"] == "message"
            said = last.data["response"]["error"]["message"]
        case _:
            assert last.data["error"]["type"] == "api_error"
            said = last.data["error"]["message"]
    assert said.startswith("an error was encountered while running the model: ")


def test_an_engine_that_dies_ends_all_choices_with_one_error(server: Server) -> None:
    assert server.post("/api/generate", model="tiny").status == 200
    engines = server.children()
    with endless(server, "/v1/chat/completions", n=3, stream_options={"include_usage": True}) as read:
        until(lambda: server.busy("tiny:latest") == 3, "three answers are made")
        for engine in engines:
            engine.kill()
        errors = [frame.data for frame in frames(read()) if "error" in frame.data]
    (error,) = errors
    assert error["error"]["message"].startswith("an error was encountered while running the model: ")
    until(lambda: server.busy("tiny:latest") == 0, "no slot is left busy", within=1.0)


@pytest.mark.parametrize("path", sorted(ENDLESS))
def test_a_client_that_leaves_frees_its_slot(server: Server, path: str) -> None:
    with endless(server, path):
        assert server.busy("tiny:latest") == 1
    until(lambda: server.busy("tiny:latest") == 0, "the slot is free", within=1.0)


def test_a_client_that_leaves_frees_the_slots_of_all_choices(server: Server) -> None:
    with endless(server, "/v1/chat/completions", n=3):
        until(lambda: server.busy("tiny:latest") == 3, "three answers are made")
    until(lambda: server.busy("tiny:latest") == 0, "the slots are free", within=1.0)


LONG_TALK = [
    {"role": role, "content": f"{number}: " + "word " * 20}
    for number in range(6)
    for role in ("user", "assistant")
] + [{"role": "user", "content": "Hello!"}]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/messages"])
def test_what_does_not_fit_is_dropped_aloud(server: Server, path: str, stream: bool) -> None:
    said = {"input": LONG_TALK} if path == "/v1/responses" else {"messages": LONG_TALK}
    limit = {"max_output_tokens": 4} if path == "/v1/responses" else {"max_tokens": 4}
    options = {"num_ctx": 128}
    more = {"truncation": "auto"} if path == "/v1/responses" else {"stream_options": {"include_usage": True}}
    answer = server.post(
        path, {"model": "tiny", **said, **limit, **more, "options": options, "stream": stream}
    )
    assert answer.status == 200, answer.body
    counted = dict(part.split("=") for part in answer.headers["Tropa-Truncated"].split(", "))
    assert int(counted["messages"]) > 0
    if not stream:
        usage = answer.json["usage"]
    elif path == "/v1/responses":
        usage = frames(answer.body)[-1].data["response"]["usage"]
    else:
        usage = frames(answer.body)[-2].data["usage"]
    assert usage["truncated"] == {name: int(count) for name, count in counted.items()}
    refused = server.post(path, {"model": "tiny", **said, **limit, "options": options, "truncate": False})
    assert refused.status == 400
    assert "128" in told(path, refused)["message"]
    if path == "/v1/messages":
        assert "tokens > 128 maximum" in told(path, refused)["message"]
    else:
        assert told(path, refused)["code"] == "context_length_exceeded"


def test_a_response_loses_nothing_unless_that_is_asked_for(server: Server) -> None:
    """And it says which of both holds: it said `disabled` and dropped messages."""
    body = {"model": "tiny", "input": LONG_TALK, "max_output_tokens": 4, "options": {"num_ctx": 128}}
    keep: list[dict[str, Any]] = [{}, {"truncation": "disabled"}, {"truncation": "auto", "truncate": False}]
    for more in keep:
        answer = server.post("/v1/responses", {**body, **more})
        assert answer.status == 400
        assert told("/v1/responses", answer)["code"] == "context_length_exceeded"
    drop: list[dict[str, Any]] = [{"truncation": "auto"}, {"truncate": True}]
    for more in drop:
        answer = server.post("/v1/responses", {**body, **more})
        assert answer.json["truncation"] == "auto"
        assert answer.json["usage"]["truncated"]["messages"] > 0
    assert server.post("/v1/responses", {**body, "input": "Hi"}).json["truncation"] == "disabled"


def test_a_full_queue_says_when_to_come_again(place: Path) -> None:
    slow = models.llama(place / "slow.gguf", layers=4, width=256, type="Q8_0")
    with serving(place, OLLAMA_NUM_PARALLEL="1", OLLAMA_MAX_QUEUE="1") as server:
        server.create("slow", slow)
        body = {"model": "slow", "messages": HI, "max_tokens": 4000, "stream": True}
        with server.asking("POST", "/v1/messages", body) as first:
            assert first.getresponse().readline()
            with server.asking("POST", "/v1/messages", body):
                until(lambda: server.ps()["slow:latest"]["waiting"] == 1, "one waits")
                for path, kind in (
                    ("/v1/chat/completions", "api_error"),
                    ("/v1/messages", "overloaded_error"),
                ):
                    answer = server.post(path, body)
                    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
                    assert told(path, answer)["type"] == kind
                    assert told(path, answer)["message"].startswith("server busy, please try again.")


GO_TEMPLATE = """{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}
{{ range .ToolCalls }}<call>{"name": "{{ .Function.Name }}", "parameters": {{ .Function.Arguments }}}</call>{{ end }}
{{ end }}{{ if .Tools }}Tools: {{ .Tools }}{{ end }}<|assistant|>"""


@pytest.mark.parametrize("several", [False, True])
def test_a_tool_is_called_also_by_a_model_with_a_go_template(
    server: Server, tmp_path: Path, several: bool
) -> None:
    name = f"go-{several}".lower()
    server.create(name, models.llama(tmp_path / "go.gguf"), template=GO_TEMPLATE)
    parameters = {"type": "object", "properties": {"zone": {"enum": ["utc", "cet"]}}, "required": ["zone"]}
    tool = {
        "type": "function",
        "function": {"name": "get_time", "description": "x", "parameters": parameters},
    }
    answer = server.post(
        "/v1/chat/completions",
        model=name,
        messages=HI,
        tools=[tool, TOOL],
        tool_choice={"type": "function", "function": {"name": "get_time"}},
        parallel_tool_calls=several,
        max_tokens=200,
        temperature=0,
    )
    assert answer.status == 200, answer.body
    (choice,) = answer.json["choices"]
    calls = choice["message"].get("tool_calls", [])
    if not several:  # a list of calls of a model that knows no end may be cut
        assert choice["finish_reason"] == "tool_calls"
        assert len(calls) == 1
    assert choice["message"]["content"] == ""
    for call in calls:
        assert call["function"]["name"] == "get_time"
        assert json.loads(call["function"]["arguments"])["zone"] in ("utc", "cet")


async def test_many_choices_are_made_at_the_same_time(server: Server) -> None:
    """And all of them are seen in one stream, each in its order."""
    body = {"model": "tiny", "messages": HI, "max_tokens": 20, "n": 6, "stream": True, "temperature": 0}
    answer = await asyncio.to_thread(server.post, "/v1/chat/completions", body)
    choices = [frame.data["choices"][0] for frame in frames(answer.body)[:-1]]
    texts = {
        index: "".join(choice["delta"].get("content", "") for choice in choices if choice["index"] == index)
        for index in range(6)
    }
    assert len(set(texts.values())) == 1
    assert sum(choice["finish_reason"] is not None for choice in choices) == 6


def test_an_error_in_one_choice_is_the_answer(server: Server) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "word " * 300}], "n": 3}
    answer = server.post("/v1/chat/completions", {**body, "options": {"num_ctx": 128}})
    assert answer.status == 400
    assert told("/v1/chat/completions", answer)["code"] == "context_length_exceeded"
    until(lambda: server.busy("tiny:latest") == 0, "no slot is left busy", within=1.0)


def test_without_a_stream_the_whole_is_awaited(server: Server) -> None:
    with server.asking(
        "POST", "/v1/responses", {"model": "tiny", "input": "Hello!", "temperature": 0}
    ) as connection:
        answer = whole(connection)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["output"][0]["content"][0]["text"].startswith("Hello!")


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_prompt_that_is_only_shown_is_in_an_answer_that_says_nothing(server: Server, path: str) -> None:
    said: dict[str, Any] = {"messages": HI} if path == "/v1/chat/completions" else {"prompt": "Hi"}
    answer = server.post(path, {"model": "tiny", **said, "_debug_render_only": True}).json
    assert "Hi" in answer["_debug_info"]["rendered_template"]
    assert answer["usage"]["completion_tokens"] == 0
    (choice,) = answer["choices"]
    if path == "/v1/chat/completions":
        assert choice == {"index": 0, "message": {"role": "", "content": ""}, "finish_reason": None}


def test_a_models_own_top_p_counts_in_responses_alone(server: Server, tmp_path: Path) -> None:
    """Elsewhere in this dialect it is 1 unless the request says something else."""
    server.create("narrow", models.llama(tmp_path / "narrow.gguf"), parameters={"top_p": 0.0, "top_k": 0})

    def answers(path: str, read: Callable[[Any], str], **said: Any) -> set[str]:
        found = (server.post(path, model="narrow", options={"num_predict": 6}, **said).json for _ in range(3))
        return set(map(read, found))

    assert (
        len(answers("/v1/responses", lambda told: told["output"][0]["content"][0]["text"], input="ba")) == 1
    )
    assert len(answers("/v1/completions", lambda told: told["choices"][0]["text"], prompt="ba")) == 3
