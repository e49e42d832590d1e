"""The typed helpers of the official client, and what agents built on it send."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.clients.openai.words import HELLO, Mood
from tests.support.server import Server

HI: Any = [{"role": "user", "content": "Hi"}]
NOW: Any = {
    "type": "function",
    "name": "now",
    "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]},
    "strict": False,
}
KEYS = ["queue_ns", "load_ns", "prompt_ns", "cached_tokens", "generation_ns", "runner"]
EXPLAIN: Any = {"extra_body": {"explain": True}}
NUMBERS: dict[str, object] = {"type": "array", "items": {"type": "integer"}, "minItems": 1000}


class Now(BaseModel):
    zone: str


def test_a_tool_of_a_type_is_called_with_one(client: openai.OpenAI, caller: str) -> None:
    tools = [openai.pydantic_function_tool(Now, name="now")]
    parsed = client.chat.completions.parse(model=caller, messages=HI, tools=tools)
    (call,) = parsed.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == Now(zone="UTC")
    with client.chat.completions.stream(model=caller, messages=HI, tools=tools) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    (call,) = final.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == Now(zone="UTC")


def test_a_stream_is_put_together_to_a_type(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="tiny", messages=HI, response_format=Mood, logprobs=True, top_logprobs=2
    ) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"content.delta", "content.done", "logprobs.content.done"} <= kinds
    assert isinstance(final.choices[0].message.parsed, Mood)
    with client.responses.stream(model="tiny", input="Hi", text_format=Mood) as events:
        assert isinstance(events.get_final_response().output_parsed, Mood)


async def test_the_helpers_work_without_blocking(aclient: openai.AsyncOpenAI) -> None:
    async with aclient.chat.completions.stream(model="tiny", messages=HI, response_format=Mood) as stream:
        done = await stream.get_final_completion()
    assert isinstance(done.choices[0].message.parsed, Mood)
    async with aclient.responses.stream(model="tiny", input=HELLO.question, temperature=0) as events:
        assert (await events.get_final_response()).output_text == HELLO.answer
    parsed = await aclient.responses.parse(model="tiny", input="Hi", text_format=Mood)
    assert isinstance(parsed.output_parsed, Mood)


def test_a_response_that_calls_goes_on_with_what_the_tool_said(client: openai.OpenAI, caller: str) -> None:
    items: Any = [{"role": "user", "content": "What time is it?"}]
    first = client.responses.create(model=caller, input=items, tools=[NOW])
    (call,) = first.output
    assert call.type == "function_call"
    assert json.loads(call.arguments) == {"zone": "UTC"}
    found: Any = {
        "type": "function_call_output",
        "call_id": call.call_id,
        "output": [{"type": "input_text", "text": "12:00"}],
    }
    items += [*first.output, found]  # as the client's own guide has it
    told = client.responses.create(model=caller, input=items, tools=[NOW])
    assert told.output_text == "It is noon."


def test_a_coding_agents_request_is_answered(client: openai.OpenAI, caller: str) -> None:
    """All that Codex sends: what only OpenAI's servers run is left out, and that is told."""
    tools: Any = [
        NOW,
        {"type": "web_search", "external_web_access": False},
        {
            "type": "custom",
            "name": "apply_patch",
            "description": "Edits files.",
            "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
        },
        {
            "type": "namespace",
            "name": "docs",
            "description": "x",
            "tools": [{"type": "function", "name": "read", "parameters": {"type": "object"}}],
        },
    ]
    asked: Any = {
        "model": caller,
        "instructions": "Be brief.",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
        "tools": tools,
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "session",
        "text": {"verbosity": "low"},
    }
    raw = client.responses.with_raw_response.create(**asked)
    assert raw.headers["tropa-left-out"] == "web_search"
    done = raw.parse()
    assert [item.type for item in done.output] == ["function_call"]
    assert [tool.type for tool in done.tools] == ["function", "custom", "namespace"]
    assert done.prompt_cache_key == "session"
    stream = client.responses.create(**asked, stream=True)
    assert [event.type for event in stream][-1] == "response.completed"
    with pytest.raises(openai.BadRequestError, match="runs no tools of its own") as caught:
        client.responses.create(**{**asked, "tools": [{"type": "web_search"}]})
    assert caught.value.param == "tools[0].type"


def test_the_prompt_of_a_response_is_counted(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="tiny", input="Hi", instructions="Be kind.")
    done = client.responses.create(model="tiny", input="Hi", instructions="Be kind.", max_output_tokens=1)
    assert done.usage is not None
    assert counted.input_tokens == done.usage.input_tokens


def test_a_response_of_before_is_not_there(client: openai.OpenAI) -> None:
    for call in (client.responses.retrieve, client.responses.delete):
        with pytest.raises(openai.NotFoundError, match="keeps no responses"):
            call("resp_1")


def test_an_explanation_harms_no_client(client: openai.OpenAI, embedder: str) -> None:
    found: list[Any] = [
        client.chat.completions.create(model="tiny", messages=HI, max_tokens=2, **EXPLAIN),
        client.completions.create(model="tiny", prompt="Hi", max_tokens=2, **EXPLAIN),
        client.responses.create(model="tiny", input="Hi", max_output_tokens=2, **EXPLAIN),
        client.embeddings.create(model=embedder, input=["a", "b"], **EXPLAIN),
        client.responses.input_tokens.count(model="tiny", input="Hi", **EXPLAIN),
        [*client.chat.completions.create(model="tiny", messages=HI, max_tokens=2, stream=True, **EXPLAIN)][
            -1
        ],
        [*client.completions.create(model="tiny", prompt="Hi", max_tokens=2, stream=True, **EXPLAIN)][-1],
    ]
    with client.responses.stream(model="tiny", input="Hi", **EXPLAIN) as stream:
        found.append(stream.get_final_response())
    for answer in found:
        assert [*answer.explain] == KEYS
    with client.chat.completions.stream(model="tiny", messages=HI, **EXPLAIN) as events:
        assert events.get_final_completion().choices[0].message.content


def test_what_stands_beside_the_dialect_is_honoured(client: openai.OpenAI, server: Server) -> None:
    """As clients of other servers send it."""
    answers = {
        client.chat.completions.create(
            model="tiny", messages=HI, extra_body={"top_k": 1, "num_ctx": 2048, "num_predict": 3}
        )
        .choices[0]
        .message.content
        for _ in range(3)
    }
    assert len(answers) == 1
    assert server.ps()["tiny:latest"]["context_length"] >= 2048
    with pytest.raises(openai.BadRequestError, match='option "num_ctx"'):
        client.chat.completions.create(model="tiny", messages=HI, extra_body={"num_ctx": "large"})


def test_the_native_format_is_honoured(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}, "required": ["sure"]}
    done = client.chat.completions.create(model="tiny", messages=HI, extra_body={"format": schema})
    assert isinstance(json.loads(done.choices[0].message.content or "")["sure"], bool)
    text = client.completions.create(model="tiny", prompt="Hi", extra_body={"format": schema}).choices[0].text
    assert isinstance(json.loads(text)["sure"], bool)


@pytest.mark.parametrize(
    "words",
    [
        {"think": False},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"reasoning": {"effort": "none"}},
    ],
    ids=str,
)
def test_thinking_can_be_put_off_in_any_of_its_words(
    client: openai.OpenAI, thinker: str, words: dict[str, Any]
) -> None:
    done = client.chat.completions.create(model=thinker, messages=HI, max_tokens=6, extra_body=words)
    assert done.choices[0].message.content
    assert "reasoning" not in (done.choices[0].message.model_extra or {})


def kill_engines(server: Server) -> None:
    for engine in server.children():
        engine.kill()


def test_a_stream_that_breaks_is_an_error_of_the_client(client: openai.OpenAI, server: Server) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "numbers", "schema": NUMBERS}}
    chunks = client.chat.completions.create(
        model="tiny", messages=HI, max_tokens=1500, response_format=form, stream=True
    )
    next(chunks)
    kill_engines(server)
    with pytest.raises(openai.APIError, match="an error was encountered while running the model"):
        list(chunks)
    text: Any = {"format": {"type": "json_schema", "name": "numbers", "schema": NUMBERS}}
    events = client.responses.create(model="tiny", input="Hi", max_output_tokens=1500, text=text, stream=True)
    for event in events:
        if event.type == "response.output_text.delta":
            break
    kill_engines(server)
    *_, done, last = events
    assert done.type == "response.output_item.done"
    assert last.type == "response.failed"
    assert last.response.status == "failed"
    assert last.response.error is not None
    assert last.response.output_text.startswith("[")
