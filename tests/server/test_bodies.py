"""Request bodies are untrusted bytes. Go's leniency where clients rely on it, and its words where it is strict."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.server import Server
from tropa.server.body import BadRequest, parse
from tropa.server.requests import BODIES, decode

LOOKING = "looking for beginning of"
NOT_JSON = [
    (b"", "missing request body"),
    (b" \r\n\t ", "missing request body"),
    (b"{", "unexpected EOF"),
    (b'{"model":"tiny"', "unexpected EOF"),
    (b'{"model":"tiny","prompt":"Why', "unexpected EOF"),
    (b"\xef\xbb\xbf{}", f"invalid character 'ï' {LOOKING} value"),
    (b"hello", f"invalid character 'h' {LOOKING} value"),
    (b"}", f"invalid character '}}' {LOOKING} value"),
    (b"{model:1}", f"invalid character 'm' {LOOKING} object key string"),
    (b"{'model':1}", rf"invalid character '\'' {LOOKING} object key string"),
    (b'{"a":1,}', f"invalid character '}}' {LOOKING} object key string"),
    (b'{"a" 1}', "invalid character '1' after object key"),
    (b'{"model":NaN}', f"invalid character 'N' {LOOKING} value"),
    (b'{"model":-Infinity}', "invalid character 'I' in numeric literal"),
    (b'{"a":"\\q"}', "invalid character 'q' in string escape code"),
    (100_000 * b"[", "the JSON in the request body is nested too deeply"),
    (100_000 * b'{"a":', "the JSON in the request body is nested too deeply"),
    (b"[]", "json: cannot unmarshal array into Go value of type api.GenerateRequest"),
    (b'"x"', "json: cannot unmarshal string into Go value of type api.GenerateRequest"),
    (b"1", "json: cannot unmarshal number into Go value of type api.GenerateRequest"),
    (b"true", "json: cannot unmarshal bool into Go value of type api.GenerateRequest"),
]


@pytest.mark.parametrize(("body", "error"), NOT_JSON, ids=lambda value: repr(value)[:30])
def test_no_request_at_all(server: Server, body: bytes, error: str) -> None:
    answer = server.post("/api/generate", body)
    assert (answer.status, answer.error) == (400, error)


WRONG_TYPES = [
    ("GenerateRequest", {"model": 1}, "number", "model", "string"),
    ("GenerateRequest", {"prompt": ["x"]}, "array", "prompt", "string"),
    ("GenerateRequest", {"stream": "false"}, "string", "stream", "bool"),
    ("GenerateRequest", {"stream": 0}, "number", "stream", "bool"),
    ("GenerateRequest", {"raw": {}}, "object", "raw", "bool"),
    ("GenerateRequest", {"top_logprobs": "3"}, "string", "top_logprobs", "int"),
    ("GenerateRequest", {"top_logprobs": True}, "bool", "top_logprobs", "int"),
    ("GenerateRequest", {"top_logprobs": 3.5}, "number 3.5", "top_logprobs", "int"),
    ("GenerateRequest", {"top_logprobs": 1 << 64}, f"number {1 << 64}", "top_logprobs", "int"),
    ("GenerateRequest", {"context": "x"}, "string", "context", "[]int"),
    ("GenerateRequest", {"context": ["x"]}, "string", "context", "int"),
    ("GenerateRequest", {"images": "x"}, "string", "images", "[]api.ImageData"),
    ("GenerateRequest", {"images": [5]}, "number", "images", "api.ImageData"),
    ("GenerateRequest", {"options": []}, "array", "options", "map[string]interface {}"),
    ("ChatRequest", {"messages": {}}, "object", "messages", "[]api.Message"),
    ("ChatRequest", {"messages": ["x"]}, "string", "messages", "api.Alias"),
    ("ChatRequest", {"messages": [{"role": 1}]}, "number", "messages.role", "string"),
    ("ChatRequest", {"messages": [{}, {"content": [{"type": "text"}]}]}, "array", "messages.content", "string"),
    ("ChatRequest", {"tools": "x"}, "string", "tools", "api.Tools"),
    ("ChatRequest", {"tools": ["x"]}, "string", "tools", "api.Tool"),
    ("ChatRequest", {"tools": [{"function": "f"}]}, "string", "tools.function", "api.ToolFunction"),
    ("ChatRequest", {"tools": [{"function": {"name": 5}}]}, "number", "tools.function.name", "string"),
    ("EmbedRequest", {"dimensions": "3"}, "string", "dimensions", "int"),
    ("EmbeddingRequest", {"prompt": ["x"]}, "array", "prompt", "string"),
    ("CreateRequest", {"files": ["x"]}, "array", "files", "map[string]interface {}"),
    ("ShowRequest", {"verbose": "yes"}, "string", "verbose", "bool"),
    ("CopyRequest", {"source": 1}, "number", "source", "string"),
    ("DeleteRequest", {"model": []}, "array", "model", "string"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "found", "path", "wanted"), WRONG_TYPES)
def test_a_field_of_the_wrong_type(kind: str, body: Any, found: str, path: str, wanted: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(kind, json.dumps(body).encode())
    expected = f"json: cannot unmarshal {found} into Go struct field {kind}.{path} of type {wanted}"
    assert str(caught.value) == expected


def test_a_content_array_in_the_openai_style_is_refused_in_gos_words(server: Server) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "Hi!"}]}
    answer = server.post("/api/chat", model="tiny", messages=[message])
    assert (answer.status, answer.error) == (
        400,
        "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string",
    )


LENIENT = [
    (b'{"model":"m"} junk', {"model": "m"}),
    (b'{"model":"m"}{"model":"n"}', {"model": "m"}),
    (b'\n {"MODEL":"m","Prompt":"p"}', {"model": "m", "prompt": "p"}),
    (b'{"model":"m","Model":"n"}', {"model": "n"}),
    (b'{"Model":"m","model":"n"}', {"model": "n"}),
    (b'{"model":"m","nosuch":{"a":[1]}}', {"model": "m"}),
    (b'{"model":null,"stream":null,"context":null,"options":null}', {}),
    (b"null", {}),
    (b'{"model":"a\xffb"}', {"model": "a\ufffdb"}),
    (b'{"model":"\\ud800"}', {"model": "\ufffd"}),
    (b'{"model":"\\udc00x\\ud800"}', {"model": "\ufffdx\ufffd"}),
    (b'{"model":"\\ud83d\\ude00"}', {"model": "\U0001f600"}),
    (b'{"prompt":"tab\tand\nline"}', {"prompt": "tab\tand\nline"}),
    (b'{"options":{"Top_K":1,"top_k":2}}', {"options": {"Top_K": 1, "top_k": 2}}),
    (b'{"nosuch":1e999}', {}),
    (b'{"nosuch":' + 5000 * b"9" + b"}", {}),
    (b'{"top_logprobs":-9223372036854775808}', {"top_logprobs": -(1 << 63)}),
    (b'{"images":["QUJD\\r\\nREVG"]}', {"images": ["QUJDREVG"]}),
    (b'{"images":[[65,66,67]]}', {"images": ["QUJD"]}),
]


@pytest.mark.parametrize(("body", "fields"), LENIENT, ids=lambda value: repr(value)[:40])
def test_what_is_forgiven(body: bytes, fields: dict[str, Any]) -> None:
    assert decode("GenerateRequest", body) == fields


@pytest.mark.parametrize(
    ("text", "byte"),
    [("data:image/png;base64,AAAA", 4), ("QUJ", 3), ("QUJ*", 3), ("_-_-", 0), ("QUJD====", 4)],
)
def test_bad_base64_says_where(text: str, byte: int) -> None:
    with pytest.raises(BadRequest, match=f"^illegal base64 data at input byte {byte}$"):
        decode("GenerateRequest", json.dumps({"images": [text]}).encode())


@pytest.mark.parametrize("arguments", ['"{}"', "1", "[]"])
def test_tool_arguments_must_be_an_object(server: Server, arguments: str) -> None:
    call = {"function": {"name": "f", "arguments": json.loads(arguments)}}
    answer = server.post("/api/chat", messages=[{"tool_calls": [call]}])
    assert (answer.status, answer.error) == (
        400,
        "Value looks like object, but can't find closing '}' symbol",
    )


CLOSING = "Value looks like object, but can't find closing '}' symbol"
IN = "json: cannot unmarshal {} into Go struct field ChatRequest.tools.function.parameters{} of type {}"


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ("x", IN.format("string", "", "api.ToolFunctionParameters")),
        ({"type": 5}, IN.format("number", ".type", "string")),
        ({"required": "a"}, IN.format("string", ".required", "[]string")),
        ({"properties": []}, CLOSING),
        ({"properties": {"a": 5}}, IN.format("number", ".properties.a", "api.ToolProperty")),
        ({"properties": {"a": {"type": [5]}}}, IN.format("array", ".properties.a.type", "[]string")),
        ({"properties": {"a": {"enum": "x"}}}, IN.format("string", ".properties.a.enum", "[]interface {}")),
        ({"properties": {"a": {"properties": "x"}}}, CLOSING),
        (
            {"properties": {"a": {"anyOf": [1]}}},
            IN.format("number", ".properties.a.anyOf", "api.ToolProperty"),
        ),
    ],
    ids=str,
)
def test_a_tool_whose_schema_is_of_the_wrong_types(parameters: Any, error: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode("ChatRequest", json.dumps({"tools": [{"function": {"parameters": parameters}}]}).encode())
    assert str(caught.value) == error


def test_a_tool_is_passed_on_with_all_of_its_schema() -> None:
    nested = {"type": ["string", "null"], "enum": ["a", None], "items": {"x": 1}, "format": "date"}
    schema = {
        "type": "object",
        "properties": {"b": nested, "a": {"anyOf": [{"type": "number"}]}},
        "$defs": {"d": 1},
    }
    given = {"Function": {"NAME": "f", "parameters": schema | {"additionalProperties": False}}, "unknown": 1}
    (tool,) = decode("ChatRequest", json.dumps({"tools": [given]}).encode())["tools"]
    assert tool == {
        "type": "function",
        "function": {"name": "f", "parameters": schema | {"additionalProperties": False}},
    }
    assert [*tool["function"]["parameters"]["properties"]] == ["b", "a"], "in their order"


def test_another_type_of_tool_is_named() -> None:
    with pytest.raises(BadRequest, match='a tool is of type "custom": the only one is "function"'):
        decode("ChatRequest", b'{"tools":[{"type":"custom"}]}')


@pytest.mark.parametrize("strange", ["", "\\ud800"], ids=["usual", "lenient"])
def test_what_is_too_deep_for_our_checks_is_told(strange: str) -> None:
    deep: Any = {"type": "string"}
    for _ in range(400):
        deep = {"type": "object", "properties": {"a": deep}}
    tools = [{"function": {"name": "f", "parameters": deep}}]
    body = json.dumps({"tools": tools, "model": "?"}).replace("?", strange).encode()
    with pytest.raises(BadRequest, match="nested too deeply"):
        decode("ChatRequest", body)


RICH = b"""{"a" : "x\\n\\u12aB\\ud83d\\ude00 \xc3\xa9", "b":[-1.5e+10, 0, true, false, null, {}], "c":{"d":[]}}"""


@pytest.mark.parametrize("length", range(1, len(RICH)))
def test_a_body_cut_anywhere_ended_unexpectedly(length: int) -> None:
    with pytest.raises(BadRequest, match=r"^unexpected EOF$"):
        parse(RICH[:length])


@given(st.binary(max_size=60) | st.text(alphabet='{}[]",:\\u0dDtrue-1.e ', max_size=30).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for kind in BODIES:
        try:
            fields = decode(kind, body)
        except BadRequest:
            continue
        json.dumps(fields).encode()


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(BODIES["ChatRequest"].fields)), JSONISH))
def test_any_json_in_a_known_field_is_taken_or_named(fields: dict[str, Any]) -> None:
    try:
        found = decode("ChatRequest", json.dumps(fields).encode())
    except BadRequest as exc:
        error = str(exc)
    else:
        error = ""
        assert set(found) == {name for name, value in fields.items() if value is not None}
    assert not error or "object" in error or any(name in error for name in fields)
