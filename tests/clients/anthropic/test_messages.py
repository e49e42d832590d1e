"""The official `anthropic` client, unmodified, with a server of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Literal

import anthropic
import pytest
from pydantic import BaseModel

from tests.support.bundled import long_question, questions
from tests.support.processes import until
from tests.support.server import Server

HELLO = questions()[0]
SAMPLE = questions()[:: max(1, len(questions()) // 6)]
GREEDY = {"temperature": 0}  # which later models of Anthropic's, and so its client, no longer know
HI: Any = [{"role": "user", "content": "Hi"}]

TOOLS: Any = [
    {
        "name": "get_weather",
        "description": "The weather somewhere",
        "input_schema": {
            "type": "object",
            "properties": {"unit": {"type": "string", "enum": ["celsius", "kelvin"]}},
            "required": ["unit"],
            "additionalProperties": False,
        },
    },
    {
        "name": "get_time",
        "input_schema": {
            "type": "object",
            "properties": {"zone": {"$ref": "#/$defs/zone"}},
            "required": ["zone"],
            "$defs": {"zone": {"type": "string", "enum": ["utc", "cet"]}},
        },
    },
]


class Mood(BaseModel):
    mood: Literal["good", "bad"]
    sure: bool


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_models(client: anthropic.Anthropic) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert listed["tiny:latest"].type == "model"
    assert listed["tiny:latest"].created_at.year >= 2024
    assert client.models.retrieve("tiny").display_name == "tiny:latest"
    with pytest.raises(anthropic.NotFoundError, match="model 'nosuch:latest' not found"):
        client.models.retrieve("nosuch")


def test_a_message(client: anthropic.Anthropic) -> None:
    for question in SAMPLE:
        done = client.messages.create(
            model="tiny",
            max_tokens=50,
            messages=[{"role": "user", "content": question.question}],
            extra_body=GREEDY,
        )
        assert text_of(done) == question.answer
        assert (done.role, done.stop_reason, done.stop_sequence) == ("assistant", "end_turn", None)
        assert done.id.startswith("msg_")
        assert done._request_id
        assert done._request_id.startswith("req_")


def test_the_counted_tokens_are_those_of_the_prompt(client: anthropic.Anthropic) -> None:
    system = [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}]
    asked: Any = {"model": "tiny", "messages": HI, "system": system}
    counted = client.messages.count_tokens(**asked).input_tokens
    usage = client.messages.create(**asked, max_tokens=1).usage
    assert counted == usage.input_tokens + (usage.cache_read_input_tokens or 0)
    again = client.messages.create(**asked, max_tokens=1).usage
    assert (again.input_tokens, again.cache_read_input_tokens) == (1, counted - 1)


def test_counting_says_how_much_tools_take(client: anthropic.Anthropic, tooly: str) -> None:
    bare = client.messages.count_tokens(model=tooly, messages=HI).input_tokens
    assert client.messages.count_tokens(model=tooly, messages=HI, tools=TOOLS).input_tokens > bare + 100


def test_a_message_streamed(client: anthropic.Anthropic) -> None:
    question = long_question()
    with client.messages.create(
        model="tiny",
        max_tokens=400,
        messages=[{"role": "user", "content": [{"type": "text", "text": question.question}]}],
        extra_body=GREEDY,
        stream=True,
    ) as stream:
        events = list(stream)
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert len(kinds) > 10
    with client.messages.stream(
        model="tiny",
        max_tokens=400,
        messages=[{"role": "user", "content": question.question}],
        extra_body=GREEDY,
    ) as helper:
        assert "".join(helper.text_stream) == question.answer
        final = helper.get_final_message()
    assert (text_of(final), final.stop_reason) == (question.answer, "end_turn")
    assert final.usage.output_tokens > 10


def test_why_an_answer_ended(client: anthropic.Anthropic) -> None:
    asked: Any = {
        "model": "tiny",
        "messages": [{"role": "user", "content": HELLO.question}],
        "extra_body": GREEDY,
    }
    cut = client.messages.create(**asked, max_tokens=2)
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 2)
    word = HELLO.answer.split()[1]
    for stream in (False, True):
        stopped = put_together(client, stream, **asked, max_tokens=50, stop_sequences=["never said", word])
        assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", word)
        assert text_of(stopped) == HELLO.answer.partition(word)[0]
    whole = client.messages.create(**asked, max_tokens=50, stop_sequences=["never said"])
    assert (whole.stop_reason, text_of(whole)) == ("end_turn", HELLO.answer)


def put_together(client: anthropic.Anthropic, stream: bool, **asked: Any) -> anthropic.types.Message:
    if not stream:
        done: anthropic.types.Message = client.messages.create(**asked)
        return done
    with client.messages.stream(**asked) as events:
        final: anthropic.types.Message = events.get_final_message()
        return final


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "any"}, {"get_weather", "get_time"}),
        ({"type": "tool", "name": "get_time"}, {"get_time"}),
        ({"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}, {"get_weather"}),
    ],
)
def test_a_tool_that_has_to_be_used(
    client: anthropic.Anthropic, tooly: str, stream: bool, choice: Any, names: set[str]
) -> None:
    done = put_together(
        client, stream, model=tooly, max_tokens=200, messages=HI, tools=TOOLS, tool_choice=choice
    )
    assert done.stop_reason == "tool_use"
    (call,) = done.content
    assert call.type == "tool_use"
    assert call.name in names
    assert call.id
    assert set(call.input.values()) <= {"celsius", "kelvin", "utc", "cet"}
    told: Any = [
        *HI,
        {"role": "assistant", "content": [block.model_dump() for block in done.content]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": call.id, "content": "293", "is_error": False},
                {"type": "text", "text": "So?"},
            ],
        },
    ]
    answer = client.messages.create(model=tooly, max_tokens=3, messages=told, tools=TOOLS)
    assert answer.stop_reason == "max_tokens"


def test_thoughts_are_a_block_of_their_own(client: anthropic.Anthropic, thinker: str) -> None:
    asked: Any = {"model": thinker, "max_tokens": 6, "messages": HI}
    for stream in (False, True):
        done = put_together(client, stream, **asked, thinking={"type": "enabled", "budget_tokens": 1024})
        (block,) = done.content
        assert block.type == "thinking"
        assert block.thinking
        assert block.signature
    said = client.messages.create(**asked, thinking={"type": "disabled"})
    assert [block.type for block in said.content] == ["text"]
    # Clients ask for it by habit, also of models that can't.
    plain = client.messages.create(
        model="tiny", max_tokens=3, messages=HI, thinking={"type": "enabled", "budget_tokens": 1024}
    )
    assert [block.type for block in plain.content] == ["text"]
    effort = client.messages.create(**asked, output_config={"effort": "low"})
    assert [block.type for block in effort.content] == ["thinking"]


def test_a_structured_message(client: anthropic.Anthropic) -> None:
    done = client.messages.parse(model="tiny", max_tokens=400, messages=HI, output_format=Mood)
    assert isinstance(done.parsed_output, Mood)


def test_context_can_be_asked_for(client: anthropic.Anthropic, server: Server) -> None:
    client.messages.create(
        model="tiny", max_tokens=1, messages=HI, extra_body={"options": {"num_ctx": 4096}, "keep_alive": "1h"}
    )
    assert server.ps()["tiny:latest"]["context_length"] == 4096


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
CALLS: list[tuple[dict[str, Any], type[anthropic.APIStatusError], str]] = [
    ({"model": "nosuch"}, anthropic.NotFoundError, "model 'nosuch' not found"),
    ({"model": "nosuch", "stream": True}, anthropic.NotFoundError, "model 'nosuch' not found"),
    ({"model": ""}, anthropic.BadRequestError, "'model' is required"),
    ({"max_tokens": 0}, anthropic.BadRequestError, "max_tokens is required and must be positive"),
    ({"messages": []}, anthropic.BadRequestError, "'messages' is required"),
    (
        {"messages": [{"role": "user", "content": []}]},
        anthropic.BadRequestError,
        "nothing that could be answered",
    ),
    (
        {"messages": [{"role": "user", "content": [IMAGE]}]},
        anthropic.BadRequestError,
        "does not support images",
    ),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "x"}}]}
            ]
        },
        anthropic.BadRequestError,
        "invalid image source type: url. Only base64 images are supported",
    ),
    (
        {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "name": "x", "input": {}}]}]},
        anthropic.BadRequestError,
        "tool_use block missing required 'id' field",
    ),
    ({"tools": TOOLS}, anthropic.BadRequestError, "does not support tools"),
    (
        {"tools": TOOLS, "tool_choice": {"type": "tool", "name": "x"}},
        anthropic.BadRequestError,
        "which is not in",
    ),
    ({"tool_choice": {"type": "any"}}, anthropic.BadRequestError, "no tools to call"),
    (
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        anthropic.BadRequestError,
        "no tools of its own",
    ),
]


@pytest.mark.parametrize(("fields", "kind", "said"), CALLS)
def test_errors_have_their_status_and_text(
    client: anthropic.Anthropic, fields: dict[str, Any], kind: type[anthropic.APIStatusError], said: str
) -> None:
    with pytest.raises(kind, match=said) as caught:
        client.messages.create(**{"model": "tiny", "max_tokens": 5, "messages": HI, **fields})
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["type"] in ("not_found_error", "invalid_request_error")
    assert body["request_id"].startswith("req_")


def test_the_errors_of_counting_are_the_same(client: anthropic.Anthropic) -> None:
    call: Callable[..., object] = client.messages.count_tokens
    with pytest.raises(anthropic.NotFoundError, match="model 'nosuch' not found"):
        call(model="nosuch", messages=HI)
    with pytest.raises(
        anthropic.BadRequestError, match=r"'messages\[0\].content' must be a string or a list"
    ):
        call(model="tiny", messages=[{"role": "user", "content": 3}])


async def test_async_answers_at_the_same_time_are_each_their_own(aclient: anthropic.AsyncAnthropic) -> None:
    async def ask(text: str) -> str:
        done = await aclient.messages.create(
            model="tiny", max_tokens=50, messages=[{"role": "user", "content": text}], extra_body=GREEDY
        )
        return text_of(done)

    async def stream(text: str) -> str:
        asked: Any = {"model": "tiny", "messages": [{"role": "user", "content": text}], "extra_body": GREEDY}
        async with aclient.messages.stream(**asked, max_tokens=50) as events:
            return "".join([piece async for piece in events.text_stream])

    asked = [each.question for each in SAMPLE]
    answers = [each.answer for each in SAMPLE]
    assert await asyncio.gather(*map(ask, asked), *map(stream, asked)) == answers * 2


async def test_an_async_client_that_leaves_frees_its_slot(
    aclient: anthropic.AsyncAnthropic, server: Server
) -> None:
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 1000}
    stream = await aclient.messages.create(
        model="tiny",
        messages=HI,
        stream=True,
        max_tokens=1500,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert (await anext(aiter(stream))).type == "message_start"
    await stream.close()
    until(lambda: server.busy("tiny:latest") == 0, "the slot is free", within=1.0)
