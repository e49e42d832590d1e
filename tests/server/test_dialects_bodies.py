"""Bodies that make no sense in the OpenAI and Anthropic dialects: each is refused in words that name the field, none is
the server's fault, and none is taken for something else."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support import models, tooltemplate
from tests.support.dialects import HI, told
from tests.support.places import short_folder
from tests.support.server import Server

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
        "model": "bert",
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
    "/v1/responses/input_tokens": {"model": "tiny", "input": "Hi", "instructions": "x", "options": SMALL},
    "/v1/rerank": {"model": "rank", "query": "a", "documents": ["b", "c"], "top_n": 1, "options": {}},
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


@pytest.fixture(scope="module", autouse=True)
def encoders(server: Server) -> None:
    """Models that embed and rank."""
    with short_folder() as folder:
        server.create("bert", models.bert(folder / "bert.gguf"))
        server.create("rank", models.bert(folder / "rank.gguf", pooling=4))


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


# What each type of JSON is replaced by.
OTHERS: dict[type, tuple[Any, ...]] = {
    bool: (7, "nonsense", ["nonsense"], {"nonsense": 1}),
    int: (True, "nonsense", ["nonsense"], {"nonsense": 1}),
    float: (True, "nonsense", ["nonsense"], {"nonsense": 1}),
    str: (True, 7, ["nonsense"], {"nonsense": 1}),
    list: (True, 7, "nonsense", {"nonsense": 1}),
    dict: (True, 7, "nonsense", ["nonsense"]),
    type(None): (),
}
# The places that take more than one type, and which others those are.
TAKES: dict[str, dict[str, tuple[type, ...]]] = {
    "/v1/chat/completions": {
        "messages.1.content": (str,),
        "stop": (str,),
        "keep_alive": (int,),
        "modalities": (),
    },
    "/v1/completions": {"prompt": (str,)},
    "/v1/embeddings": {"input": (str,)},
    "/v1/responses": {
        "input": (str,),
        "input.0.content": (str,),
        "input.1.summary": (str,),
        "include": (str,),
        "metadata.a": (bool, int, list, dict),
    },
    "/v1/messages": {
        "system": (str,),
        "messages.0.content": (str,),
        "messages.1.content": (str,),
        "messages.2.content": (str,),
        "stop_sequences": (str,),
    },
    "/v1/rerank": {"documents": (str,)},
}


def trodden(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a body."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield (*path, key)
        if isinstance(value[key], dict | list):
            yield from trodden(value[key], (*path, key))


def replaced(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    found = inner = copy.deepcopy(body)
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return found


def at(body: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        body = body[key]
    return body


@pytest.mark.parametrize("path", PATHS)
def test_no_value_of_another_type_is_taken(server: Server, path: str) -> None:
    """Not even where it would have no effect in this request: field by field, type by type."""
    body = BODIES[path]
    assert server.post(path, body).status == 200
    for way in trodden(body):
        takes = TAKES.get(path, {}).get(".".join(map(str, way)), ())
        for other in OTHERS[type(at(body, way))]:
            answer = server.post(path, replaced(body, way, other))
            wanted = 200 if type(other) in takes else 400
            assert answer.status == wanted, (way, other, answer.status, answer.body)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_too_deep_too_large_or_no_text(server: Server, path: str) -> None:
    """Ten thousand levels, numbers of a thousand digits, half characters, in every field. To keep a model for ever so
    many seconds is to keep it for ever."""
    nasty = [b'{"a":' * 10_000 + b"0" + b"}" * 10_000, b"[" * 10_000 + b"]" * 10_000, b"9" * 1000, b"-1e999"]
    texts = [b'"\\ud800"', b'"\\udfff\\ud800"', b'"\\u0000"', b'"\xff"']
    for name in BODIES[path]:
        rest = json.dumps({key: value for key, value in BODIES[path].items() if key != name})[1:]
        for raw in nasty:
            answer = server.post(path, b'{"%b":%b,%b' % (name.encode(), raw, rest.encode()))
            if name == "keep_alive" and raw in nasty[2:]:
                assert answer.status == 200, answer.body
                continue
            assert 400 <= answer.status < 500, (name, raw[:20], answer.body)
            told(path, answer)
        for raw in texts:
            answer = server.post(path, b'{"%b":%b,%b' % (name.encode(), raw, rest.encode()))
            assert answer.status < 500, (name, raw, answer.body)
    assert server.post(path, BODIES[path]).status == 200


NOT_AN_OBJECT = [b"", b"[]", b"1", b'"x"', b"{", b"\xff", 2000 * b"[", b'{"model": NaN}', b"null", b"{}"]


@pytest.mark.parametrize("path", PATHS)
def test_what_is_no_request_is_refused_in_the_dialect(server: Server, path: str) -> None:
    for body in NOT_AN_OBJECT:
        answer = server.post(path, body)
        assert answer.status == 400, (body, answer.body)
        assert told(path, answer)["type"] == "invalid_request_error"
