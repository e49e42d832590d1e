"""The document of the API says what is there: every route, and fields that are really looked at."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.server import Server
from tropa.server.dialectfields import ANTHROPIC, OPENAI
from tropa.server.openapi import ABOUT, document, schema
from tropa.server.requests import BODIES

PATHS = {
    "OpenAIChat": "/v1/chat/completions",
    "OpenAICompletion": "/v1/completions",
    "OpenAIEmbedding": "/v1/embeddings",
    "OpenAIResponse": "/v1/responses",
    "AnthropicMessages": "/v1/messages",
    "AnthropicCount": "/v1/messages/count_tokens",
}
GOOD: dict[str, Any] = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "Hi"}],
    "input": "Hi",
    "prompt": "Hi",
    "max_tokens": 1,
}
TYPED = [
    (name, field)
    for name, body in {**OPENAI, **ANTHROPIC}.items()
    if name in PATHS
    for field, found in body["properties"].items()
    if "type" in found
]


def test_every_route_is_in_the_document_and_described(server: Server) -> None:
    answer = server.get("/openapi.json")
    assert answer.status == 200
    found = answer.json
    assert found["openapi"].startswith("3.1.")
    shown = {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}
    assert shown == {(method, path.replace(":path", "")) for method, path in ABOUT}, "a line in openapi.ABOUT"
    idents = [each["operationId"] for methods in found["paths"].values() for each in methods.values()]
    assert len(idents) == len(set(idents))


@pytest.mark.parametrize(("method", "path"), ABOUT)
def test_what_is_described_is_there(server: Server, method: str, path: str) -> None:
    answer = server.request(method, re.sub(r"\{.*\}", "none", path))
    assert answer.status != 405
    assert answer.body != b"404 page not found"
    told = document([(method, path)])["paths"][path.replace(":path", "")][method.lower()]["responses"]
    assert str(answer.status) in told


def test_every_reference_leads_somewhere() -> None:
    found = document(ABOUT)
    names = set(re.findall(r"'#/components/schemas/(\w+)'", str(found)))
    assert names
    assert names <= set(found["components"]["schemas"])
    assert set(BODIES) <= names, "a body that no route takes"


def test_the_fields_of_native_bodies_are_those_that_are_read() -> None:
    for name, body in BODIES.items():
        assert [*schema(body)["properties"]] == [*body.fields], name
    messages = schema(BODIES["ChatRequest"])["properties"]["messages"]
    assert messages["type"] == ["array", "null"]
    assert messages["items"]["properties"]["content"] == {"type": ["string", "null"]}


@pytest.mark.parametrize(("name", "field"), TYPED)
def test_a_dialects_field_is_looked_at(server: Server, name: str, field: str) -> None:
    """A value of a type that none of them has is refused, by name."""
    kinds = {**OPENAI, **ANTHROPIC}[name]["properties"][field]["type"]
    wrong: Any = [[7]] if "object" not in kinds and "array" not in kinds else 7
    needed = {key: GOOD[key] for key in ({**OPENAI, **ANTHROPIC}[name]["required"])}
    extra = {"stream": True} if field == "stream_options" else {}
    answer = server.request("POST", PATHS[name], {**needed, **extra, field: wrong})
    assert answer.status == 400, answer.body
    assert field in answer.json["error"]["message"]


def test_the_page_is_whole_in_itself(server: Server) -> None:
    answer = server.get("/docs")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    text = answer.body.decode()
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert not re.findall(r"<script|<link|<img|https?://", text)
    for _, path in ABOUT:
        assert f"<code>{path.replace(':path', '')}</code>" in text
    assert "<code>keep_alive</code>" in text
