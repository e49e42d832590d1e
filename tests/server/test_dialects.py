"""The edges of the OpenAI and Anthropic dialects: bodies that make no sense, and what goes wrong on the way.
Every error arrives in the dialect of its asker."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import models, tooltemplate
from tests.support.places import short_folder
from tests.support.processes import until
from tests.support.server import Answer, Server, serving, whole
from tests.support.sse import frames

HI = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "f", "description": "x", "parameters": {"type": "object"}}}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
SMALL = {"num_ctx": 64}

# A body with nearly all fields of each route, so that a change of any of them meets a reader.
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "x"},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": "hm"},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
        ],
        "tools": [],
        "tool_choice": "auto",
        "stream": False,
        "stream_options": {"include_usage": True},
        "max_tokens": 1,
        "n": 1,
        "temperature": 0.5,
        "top_p": 0.5,
        "seed": 1,
        "stop": ["x"],
        "frequency_penalty": 0.1,
        "presence_penalty": 0.1,
        "logit_bias": {"5": 1},
        "logprobs": True,
        "top_logprobs": 1,
        "response_format": {"type": "text"},
        "reasoning_effort": "none",
        "keep_alive": "1m",
        "options": SMALL,
        "modalities": ["text"],
    },
    "/v1/completions": {
        "model": "tiny",
        "prompt": ["Hi"],
        "suffix": "",
        "stream": False,
        "max_tokens": 1,
        "n": 1,
        "best_of": 1,
        "echo": False,
        "logprobs": 1,
        "logit_bias": {"5": 1},
        "options": SMALL,
    },
    "/v1/embeddings": {
        "model": "tiny",
        "input": ["x"],
        "dimensions": 4,
        "encoding_format": "float",
        "options": SMALL,
        "truncate": True,
    },
    "/v1/responses": {
        "model": "tiny",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "x"}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
        ],
        "instructions": "x",
        "tools": [],
        "tool_choice": "none",
        "max_output_tokens": 1,
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": "none", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "truncation": "disabled",
        "metadata": {"a": "b"},
        "options": SMALL,
        "stream": False,
    },
    "/v1/messages": {
        "model": "tiny",
        "max_tokens": 1,
        "system": [{"type": "text", "text": "x"}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "1"}]},
        ],
        "tools": [],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": False},
        "thinking": {"type": "disabled"},
        "output_config": {"effort": "low"},
        "stop_sequences": ["x"],
        "temperature": 0.5,
        "top_k": 3,
        "stream": False,
        "options": SMALL,
    },
    "/v1/messages/count_tokens": {"model": "tiny", "messages": HI, "system": "x", "options": SMALL},
}
PATHS = sorted(BODIES)

SCHEMA = {
    "type": "object",
    "properties": {
        "unit": {"type": "string", "enum": ["c", "k"]},
        "count": {"type": "integer", "minimum": 1},
        "inner": {"type": "object", "properties": {"x": {"$ref": "#/$defs/flag"}}},
    },
    "required": ["unit"],
    "$defs": {"flag": {"type": "boolean"}},
}
WITH_TOOLS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "tooly",
        "messages": HI,
        "tools": [{"type": "function", "function": {"name": "f", "description": "x", "parameters": SCHEMA}}],
        "tool_choice": "required",
        "parallel_tool_calls": True,
        "max_tokens": 2,
    },
    "/v1/responses": {
        "model": "tooly",
        "input": "Hi",
        "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}, {"type": "custom", "name": "g"}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}},
        "max_output_tokens": 2,
    },
    "/v1/messages": {
        "model": "tooly",
        "messages": HI,
        "tools": [{"name": "f", "input_schema": SCHEMA}],
        "tool_choice": {"type": "auto"},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        "max_tokens": 2,
    },
}

DEEP: Any = 0
for _ in range(80):
    DEEP = {"a": [DEEP]}
STRANGE = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1, 3.5, 1e308, 1 << 70, -(1 << 70), 10**400),
        *("", "x", "tiny", "none", "\ud800", "\x00", "data:image/png;base64,AAAA", "a" * 5000),
        *([], {}, [[]], [{}], [None], ["x"], [1], {"type": "x"}, {"type": "function"}, {"a": 1}, DEEP),
        *(
            {"type": "json_schema", "json_schema": {"schema": {"type": "nonsense"}}},
            {"type": "image_url"},
            [TOOL],
        ),
        {"type": "json_schema", "schema": {"$ref": "#/nowhere"}},
        *({"type": "string", "pattern": "(("}, {"enum": []}, {"anyOf": []}, {"items": 7}, {"$ref": "#"}),
    ]
)


def places(value: Any, depth: int = 9) -> Iterator[tuple[Any, Any]]:
    """Every container and key in a body, not too deep."""
    keys = value if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if depth and isinstance(value[key], dict | list):
            yield from places(value[key], depth - 1)


@st.composite
def changed(draw: st.DrawFn, whole: dict[str, Any]) -> dict[str, Any]:
    """A body with up to three values that do not belong there."""
    body: dict[str, Any] = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(1, 3))):
        all_places = list(places(body))
        if all_places:
            container, key = draw(st.sampled_from(all_places))
            container[key] = copy.deepcopy(draw(STRANGE))
    return body


def told(path: str, answer: Answer) -> dict[str, Any]:
    """The inner error object; that the envelope is the dialect's is asserted."""
    body = answer.json
    inner: dict[str, Any] = body["error"]
    if path.startswith("/v1/messages"):
        assert body["type"] == "error"
        assert {*inner} == {"type", "message"}
    else:
        assert {*body} == {"error"}
        assert {*inner} == {"message", "type", "param", "code"}
    assert inner["message"]
    return inner


@pytest.fixture(scope="module")
def tooly(server: Server) -> str:
    """A model that says nonsense, and whose template knows tools."""
    with short_folder() as folder:
        server.create("tooly", models.llama(folder / "tooly.gguf", template=tooltemplate.TOOLS))
    return "tooly"


@pytest.mark.parametrize("path", PATHS)
def test_no_body_is_the_servers_fault(server: Server, path: str) -> None:
    fuzz(server, path, BODIES[path])


@pytest.mark.parametrize("path", sorted(WITH_TOOLS))
def test_no_tool_is_the_servers_fault(server: Server, tooly: str, path: str) -> None:
    assert server.post(path, WITH_TOOLS[path]).status == 200
    fuzz(server, path, WITH_TOOLS[path])


def fuzz(server: Server, path: str, whole: dict[str, Any]) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(changed(whole))
    def check(body: dict[str, Any]) -> None:
        answer = server.post(path, body)
        assert answer.status < 500, (answer.status, answer.body)
        if answer.status != 200:
            told(path, answer)

    check()
    assert "this is a bug" not in server.log.read_text()


NOT_AN_OBJECT = [b"", b"[]", b"1", b'"x"', b"{", b"\xff", 2000 * b"[", b'{"model": NaN}', b"null", b"{}"]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_request_is_refused_in_the_dialect(server: Server, path: str) -> None:
    for body in NOT_AN_OBJECT:
        answer = server.post(path, body)
        assert answer.status == 400, (body, answer.body)
        assert told(path, answer)["type"] == "invalid_request_error"


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
        "tools[0].format.type",
    ),
    ("/v1/responses", {"input": "x", "conversation": "c"}, "conversation"),
    ("/v1/responses", {"input": "x", "tools": [{"type": "web_search"}]}, "tools[0].type"),
    ("/v1/responses", {"input": "x", "text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
]


@pytest.mark.parametrize(("path", "body", "field"), WRONG, ids=lambda value: str(value)[:50])
def test_the_error_names_the_field(server: Server, path: str, body: dict[str, Any], field: str) -> None:
    answer = server.post(path, {"model": "tiny", "messages": HI, **body})
    assert answer.status == 400
    error = told(path, answer)
    assert error["param"] == field
    assert field in error["message"]


def test_keys_in_any_letter_case_and_null_fields_are_taken(server: Server) -> None:
    body = {
        "MODEL": "tiny",
        "Messages": [{"Role": "User", "CONTENT": "Hi"}],
        "Max_Tokens": 1,
        "stop": None,
        "n": None,
    }
    assert server.post("/v1/chat/completions", body).json["usage"]["completion_tokens"] == 1


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
