"""Every field that the newest official clients can send is honoured, refused by its name, or can't change an answer."""

from __future__ import annotations

import typing
from typing import Any

import pytest
from anthropic.types import message_count_tokens_params, message_create_params
from anthropic.types.beta import message_create_params as beta_create_params
from openai.types import completion_create_params as text_params
from openai.types import embedding_create_params
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params

from tests.support.server import Server
from tropa.server.anthropic.request import REFUSED
from tropa.server.dialectfields import ANTHROPIC, IDLE, OPENAI
from tropa.server.openai import refused

THREAD = {"thread": "refused in words of its own"}
CLIENTS: list[tuple[Any, dict[str, Any], typing.Mapping[str, str]]] = [
    (completion_create_params.CompletionCreateParamsBase, OPENAI["OpenAIChat"], refused.CHAT),
    (text_params.CompletionCreateParamsBase, OPENAI["OpenAICompletion"], refused.COMPLETION),
    (embedding_create_params.EmbeddingCreateParams, OPENAI["OpenAIEmbedding"], {}),
    (response_create_params.ResponseCreateParamsBase, OPENAI["OpenAIResponse"], refused.RESPONSE),
    (message_create_params.MessageCreateParamsBase, ANTHROPIC["AnthropicMessages"], REFUSED),
    (beta_create_params.MessageCreateParamsBase, ANTHROPIC["AnthropicMessages"], REFUSED | THREAD),
    (message_count_tokens_params.MessageCountTokensParams, ANTHROPIC["AnthropicCount"], REFUSED),
]


@pytest.mark.parametrize(
    ("params", "body", "no"), CLIENTS, ids=lambda value: getattr(value, "__module__", "")
)
def test_no_field_of_the_client_is_unknown(
    params: Any, body: dict[str, Any], no: typing.Mapping[str, str]
) -> None:
    assert not {*typing.get_type_hints(params)} - {*body["properties"]} - {*no}


BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4},
    "/v1/completions": {"prompt": "Hi", "max_tokens": 4},
    "/v1/responses": {"input": "Hi", "max_output_tokens": 4},
    "/v1/messages": {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4},
}
VALUES = {"metadata": {"a": "b"}, "max_tool_calls": 1, "stream_options": {"include_obfuscation": False}}


def said(answer: Any) -> Any:
    """What the model said, whatever the dialect."""
    choice = (answer.get("choices") or [{}])[0]
    item = (answer.get("output") or [{}])[0]
    return [choice.get("text"), choice.get("message"), item.get("content"), answer.get("content")]


@pytest.mark.parametrize("path", BODIES)
def test_what_can_change_no_answer_changes_none(server: Server, path: str) -> None:
    body = {"model": "tiny", "temperature": 0, **BODIES[path]}
    idle = {name: VALUES.get(name, "x") for name in IDLE}
    plain = server.post(path, body)
    answer = server.post(path, body | idle)
    assert answer.status == 200, answer.body
    assert said(answer.json) == said(plain.json)
    assert any(said(plain.json))


REFUSED_BY = [
    *(
        (path, name)
        for path, table in (
            ("/v1/chat/completions", refused.CHAT),
            ("/v1/completions", refused.COMPLETION),
            ("/v1/responses", refused.RESPONSE),
            ("/v1/messages", REFUSED),
        )
        for name in table
    ),
]


@pytest.mark.parametrize(("path", "name"), REFUSED_BY)
def test_what_is_refused_is_refused_by_name_and_not_for_being_empty(
    server: Server, path: str, name: str
) -> None:
    body = {"model": "tiny", "temperature": 0, **BODIES[path]}
    answer = server.post(path, {**body, name: {"a": "b"}})
    assert answer.status == 400
    assert answer.json["error"]["message"].startswith(f"'{name}' ")
    nothings: tuple[Any, ...] = (None, False, [], {})
    for nothing in nothings:
        assert server.post(path, {**body, name: nothing}).status == 200
