"""The official `openai` client, unmodified, with a server of ours."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel

from tests.support import models, tooltemplate
from tests.support.bundled import long_question, questions
from tests.support.processes import until
from tests.support.server import Server

HELLO = questions()[0]
SAMPLE = questions()[:: max(1, len(questions()) // 6)]

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather somewhere",
        "parameters": {
            "type": "object",
            "properties": {"unit": {"type": "string", "enum": ["celsius", "kelvin"]}},
            "required": ["unit"],
            "additionalProperties": False,
        },
    },
}
CLOCK: Any = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {
            "type": "object",
            "properties": {"zone": {"type": "string", "enum": ["utc", "cet"]}},
            "required": ["zone"],
        },
    },
}


class Mood(BaseModel):
    mood: Literal["good", "bad"]
    sure: bool


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def aclient(server: Server) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def bert(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    server.create("bert", models.bert(tmp_path_factory.mktemp("bert") / "bert.gguf"))
    return "bert"


@pytest.fixture(scope="module")
def tooly(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that says nonsense, and whose template knows tools."""
    path = tmp_path_factory.mktemp("tooly") / "tooly.gguf"
    server.create("tooly", models.llama(path, template=tooltemplate.TOOLS))
    return "tooly"


@pytest.fixture(scope="module")
def thinker(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that thinks, and never comes to an end with it."""
    path = tmp_path_factory.mktemp("thinker") / "thinker.gguf"
    server.create("thinker", models.llama(path, template=tooltemplate.THINKING))
    return "thinker"


def test_models(client: openai.OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    tiny = listed["tiny:latest"]
    assert tiny.owned_by == "library"
    assert tiny.created > 1_500_000_000
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError, match="model 'who/knows:latest' not found"):
        client.models.retrieve("who/knows")


def test_chat(client: openai.OpenAI) -> None:
    for question in SAMPLE:
        done = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": question.question}], temperature=0
        )
        (choice,) = done.choices
        assert (choice.message.content, choice.finish_reason) == (question.answer, "stop")
        assert choice.message.role == "assistant"
        assert done.model == "tiny"
        assert (done._request_id or "").startswith("req_")
        assert done.usage is not None
        assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens
        assert done.usage.prompt_tokens_details is not None


def test_a_prompt_that_was_read_before_is_told_as_cached(client: openai.OpenAI) -> None:
    for _ in range(2):
        done = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "What is it, then?"}], max_tokens=1
        )
    assert done.usage is not None
    assert done.usage.prompt_tokens_details is not None
    assert done.usage.prompt_tokens_details.cached_tokens == done.usage.prompt_tokens - 1


def test_chat_streamed(client: openai.OpenAI) -> None:
    question = long_question()
    stream = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": question.question}],
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    *chunks, last, usage = stream
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == question.answer
    assert [chunk.choices[0].delta.role for chunk in chunks] == ["assistant", *[None] * (len(chunks) - 1)]
    assert last.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.completion_tokens >= len(chunks)
    assert len({(chunk.id, chunk.created) for chunk in [*chunks, last, usage]}) == 1


def test_the_helper_that_puts_a_stream_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="tiny", messages=[{"role": "user", "content": HELLO.question}], temperature=0
    ) as stream:
        assert stream.get_final_completion().choices[0].message.content == HELLO.answer


def test_roles_and_parts_of_content(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="tiny",
        messages=[
            {"role": "developer", "content": "Be kind."},
            {"role": "user", "content": [{"type": "text", "text": HELLO.question}]},
        ],
        temperature=0,
    )
    assert done.choices[0].message.content


def test_limits_and_stops(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": HELLO.question}]
    limits: Any = (
        {"max_tokens": 2},
        {"max_completion_tokens": 2},
        {"max_tokens": 9, "max_completion_tokens": 2},
    )
    for limit in limits:
        done = client.chat.completions.create(model="tiny", messages=messages, temperature=0, **limit)
        assert done.usage.completion_tokens == 2
        assert done.choices[0].finish_reason == "length"
    word = HELLO.answer.split()[1]
    for stop in (word, [word, "never said"]):
        done = client.chat.completions.create(model="tiny", messages=messages, temperature=0, stop=stop)
        assert done.choices[0].message.content == HELLO.answer.partition(word)[0]
        assert done.choices[0].finish_reason == "stop"


def test_options_beyond_the_dialect(client: openai.OpenAI, server: Server) -> None:
    client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "Hi"}],
        max_tokens=1,
        extra_body={"options": {"num_ctx": 4096}, "keep_alive": "1h"},
    )
    assert server.ps()["tiny:latest"]["context_length"] == 4096
    with pytest.raises(openai.BadRequestError, match="exceed"):
        client.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": "Hi! " * 50}],
            extra_body={"options": {"num_ctx": 32}, "truncate": False},
        )


def test_several_choices(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": HELLO.question}], temperature=0, n=3
    )
    assert [choice.index for choice in done.choices] == [0, 1, 2]
    assert {choice.message.content for choice in done.choices} == {HELLO.answer}
    assert done.usage is not None
    assert done.usage.completion_tokens % 3 == 0
    said = ["", "", ""]
    for chunk in client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": HELLO.question}], temperature=0, n=3, stream=True
    ):
        (choice,) = chunk.choices
        said[choice.index] += choice.delta.content or ""
    assert said == [HELLO.answer] * 3


def test_a_seed_makes_choices_that_differ_and_come_again(client: openai.OpenAI, tooly: str) -> None:
    def ask() -> list[str | None]:
        done = client.chat.completions.create(
            model=tooly, messages=[{"role": "user", "content": "ba"}], n=3, seed=7, max_tokens=8
        )
        return [choice.message.content for choice in done.choices]

    first = ask()
    assert len(set(first)) == 3
    assert ask() == first


def test_logprobs(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": HELLO.question}],
        temperature=0,
        logprobs=True,
        top_logprobs=3,
    )
    logprobs = done.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.content is not None
    assert "".join(entry.token for entry in logprobs.content) == HELLO.answer
    for entry in logprobs.content:
        assert len(entry.top_logprobs) == 3
        assert entry.logprob <= 0
        assert entry.bytes == list(entry.token.encode())
        assert entry.top_logprobs[0].logprob == max(other.logprob for other in entry.top_logprobs)


def test_a_biased_token_is_not_said(client: openai.OpenAI, server: Server) -> None:
    context = server.post(
        "/api/generate",
        model="tiny",
        prompt=HELLO.question,
        stream=False,
        options={"temperature": 0, "num_predict": 1},
    ).json["context"]
    first = context[-1]
    done = client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": HELLO.question}],
        temperature=0,
        max_tokens=1,
        logit_bias={str(first): -100},
    )
    plain = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": HELLO.question}], temperature=0, max_tokens=1
    )
    assert done.choices[0].message.content != plain.choices[0].message.content


def test_structured_answers(client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "How do you feel?"}]
    parsed = client.chat.completions.parse(model="tiny", messages=messages, response_format=Mood)
    mood = parsed.choices[0].message.parsed
    assert isinstance(mood, Mood)
    done = client.chat.completions.create(
        model="tiny",
        messages=messages,
        response_format={"type": "json_object"},
        max_tokens=40,
    )
    assert (done.choices[0].message.content or "").lstrip().startswith("{")


@pytest.mark.parametrize("parallel", [True, False])
def test_a_required_tool_is_called(client: openai.OpenAI, tooly: str, parallel: bool) -> None:
    done = client.chat.completions.create(
        model=tooly,
        messages=[{"role": "user", "content": "How warm?"}],
        tools=[WEATHER, CLOCK],
        tool_choice={"type": "function", "function": {"name": "get_time"}},
        parallel_tool_calls=parallel and openai.omit,
        temperature=0,
    )
    (choice,) = done.choices
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_time"
    assert json.loads(call.function.arguments)["zone"] in ("utc", "cet")


def test_a_tool_call_streamed(client: openai.OpenAI, tooly: str) -> None:
    stream = client.chat.completions.create(
        model=tooly,
        messages=[{"role": "user", "content": "How warm?"}],
        tools=[WEATHER, CLOCK],
        tool_choice="required",
        stream=True,
    )
    called, *more = [call for chunk in stream for call in chunk.choices[0].delta.tool_calls or []]
    assert not more
    assert called.index == 0
    assert called.id
    assert called.function is not None
    assert called.function.name in ("get_time", "get_weather")
    assert isinstance(json.loads(called.function.arguments or ""), dict)


def test_tools_that_must_not_be_called_are_not_told(client: openai.OpenAI, tooly: str) -> None:
    counts = []
    for choice in ("none", "auto"):
        done = client.chat.completions.create(
            model=tooly,
            messages=[{"role": "user", "content": "How warm?"}],
            tools=[WEATHER],
            tool_choice=choice,
            max_tokens=1,
        )
        assert done.usage is not None
        counts.append(done.usage.prompt_tokens)
    assert counts[0] < counts[1]


def test_a_whole_conversation_with_a_tool(client: openai.OpenAI, tooly: str) -> None:
    messages: Any = [
        {"role": "user", "content": "How warm?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "a",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"unit": "kelvin"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "293"}]},
    ]
    done = client.chat.completions.create(model=tooly, messages=messages, tools=[WEATHER], max_tokens=3)
    assert done.choices[0].message.content is not None


def test_thoughts_are_told_apart(client: openai.OpenAI, thinker: str) -> None:
    messages: Any = [{"role": "user", "content": "Why?"}]
    done = client.chat.completions.create(
        model=thinker, messages=messages, max_tokens=6, reasoning_effort="low"
    )
    said = done.choices[0].message.model_extra or {}
    assert said["reasoning"] == said["reasoning_content"] != ""
    assert done.choices[0].message.content == ""
    plain = client.chat.completions.create(
        model=thinker, messages=messages, max_tokens=6, reasoning_effort="none"
    )
    assert plain.choices[0].message.content
    streamed: Any = client.chat.completions.create(
        model=thinker, messages=messages, max_tokens=6, stream=True
    )
    thoughts = "".join((chunk.choices[0].delta.model_extra or {}).get("reasoning", "") for chunk in streamed)
    assert thoughts


def test_completions(client: openai.OpenAI) -> None:
    done = client.completions.create(model="tiny", prompt=HELLO.question, temperature=0)
    assert (done.choices[0].text, done.choices[0].finish_reason) == (HELLO.answer, "stop")
    stream = client.completions.create(
        model="tiny", prompt=HELLO.question, temperature=0, stream=True, echo=True
    )
    assert "".join(chunk.choices[0].text for chunk in stream) == HELLO.question + HELLO.answer


def test_completions_of_several_prompts(client: openai.OpenAI) -> None:
    done = client.completions.create(
        model="tiny", prompt=[each.question for each in SAMPLE[:2]], temperature=0, n=2, logprobs=2
    )
    assert [choice.text for choice in done.choices] == [each.answer for each in SAMPLE[:2] for _ in range(2)]
    for choice in done.choices:
        logprobs = choice.logprobs
        assert logprobs is not None
        assert "".join(logprobs.tokens or []) == choice.text
        assert [choice.text[at : at + 1] for at in logprobs.text_offset or []] == [
            token[:1] for token in logprobs.tokens or []
        ]
        assert all(len(each) == 2 for each in logprobs.top_logprobs or [])


def test_embeddings(client: openai.OpenAI, bert: str) -> None:
    texts = ["ba be", "do", "ba be"]
    found = client.embeddings.create(
        model=bert, input=texts, dimensions=16
    )  # the client asks for base64 itself
    assert [entry.index for entry in found.data] == [0, 1, 2]
    assert all(math.isclose(math.hypot(*entry.embedding), 1, rel_tol=1e-5) for entry in found.data)
    assert all(len(entry.embedding) == 16 for entry in found.data)
    assert found.usage.prompt_tokens == found.usage.total_tokens > 3
    plain = client.embeddings.create(model=bert, input=texts[0], dimensions=16, encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(found.data[0].embedding, abs=1e-6)


def test_a_response(client: openai.OpenAI) -> None:
    done = client.responses.create(model="tiny", input=HELLO.question, temperature=0)
    assert (done.output_text, done.status) == (HELLO.answer, "completed")
    assert done.usage is not None
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens
    cut = client.responses.create(model="tiny", input=HELLO.question, temperature=0, max_output_tokens=2)
    assert cut.status == "incomplete"
    assert cut.incomplete_details is not None
    assert cut.incomplete_details.reason == "max_output_tokens"


def test_a_response_goes_on_from_its_own_items(client: openai.OpenAI) -> None:
    first = client.responses.create(
        model="tiny", input=HELLO.question, temperature=0, instructions="Be kind."
    )
    items: Any = [
        {"role": "user", "content": "Hi"},
        *[item.model_dump() for item in first.output],
        {"role": "user", "content": [{"type": "input_text", "text": HELLO.question}]},
    ]
    again = client.responses.create(model="tiny", input=items, temperature=0)
    assert again.output_text
    with pytest.raises(openai.BadRequestError, match="'previous_response_id' is not supported") as caught:
        client.responses.create(model="tiny", input="And?", previous_response_id=first.id)
    assert caught.value.param == "previous_response_id"


def test_a_response_streamed(client: openai.OpenAI) -> None:
    question = long_question()
    with client.responses.stream(model="tiny", input=question.question, temperature=0) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert set(kinds[4:-4]) == {"response.output_text.delta"}
    assert final.output_text == question.answer


def test_a_response_that_must_call_a_tool(client: openai.OpenAI, tooly: str) -> None:
    tools: Any = [{"type": "function", "strict": True, **tool["function"]} for tool in (WEATHER, CLOCK)]
    with client.responses.stream(
        model=tooly, input="How warm?", tools=tools, tool_choice="required"
    ) as stream:
        kinds = [event.type for event in stream]
        (call,) = stream.get_final_response().output
    assert kinds[2:-1] == [
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
    ]
    assert call.type == "function_call"
    assert isinstance(json.loads(call.arguments), dict)
    items: Any = [
        {"role": "user", "content": "How warm?"},
        call.to_dict(),
        {"type": "function_call_output", "call_id": call.call_id, "output": "293"},
    ]
    again = client.responses.create(model=tooly, input=items, max_output_tokens=3)
    assert again.output


def test_a_response_with_thoughts(client: openai.OpenAI, thinker: str) -> None:
    done = client.responses.create(
        model=thinker, input="Why?", max_output_tokens=6, reasoning={"effort": "low"}
    )
    (thought,) = [item for item in done.output if item.type == "reasoning"]
    assert thought.summary[0].text
    assert done.usage is not None
    assert done.usage.output_tokens_details.reasoning_tokens > 0
    with client.responses.stream(model=thinker, input="Why?", max_output_tokens=6) as stream:
        kinds = [event.type for event in stream]
    assert "response.reasoning_summary_text.delta" in kinds
    assert kinds[-1] == "response.incomplete"


def test_a_structured_response(client: openai.OpenAI) -> None:
    done = client.responses.parse(model="tiny", input="How do you feel?", text_format=Mood)
    assert isinstance(done.output_parsed, Mood)


USER: Any = [{"role": "user", "content": "Hi"}]
CALLS: list[tuple[Callable[[openai.OpenAI], object], type[openai.APIStatusError], str]] = [
    (
        lambda client: client.chat.completions.create(model="nosuch", messages=USER),
        openai.NotFoundError,
        "model 'nosuch' not found",
    ),
    (
        lambda client: client.chat.completions.create(model="nosuch", messages=USER, stream=True),
        openai.NotFoundError,
        "model 'nosuch' not found",
    ),
    (lambda client: client.completions.create(model="nosuch", prompt="x"), openai.NotFoundError, "not found"),
    (lambda client: client.responses.create(model="nosuch", input="x"), openai.NotFoundError, "not found"),
    (
        lambda client: client.embeddings.create(model="nosuch", input="x"),
        openai.NotFoundError,
        'model "nosuch" not found, try pulling it first',
    ),
    (
        lambda client: client.embeddings.create(model="tiny", input=[[1, 2], [3]]),
        openai.BadRequestError,
        "'input' invalid input type: lists of tokens are not supported",
    ),
    (lambda client: client.embeddings.create(model="tiny", input="x"), openai.BadRequestError, "embeddings"),
    (
        lambda client: client.chat.completions.create(model="tiny", messages=[]),
        openai.BadRequestError,
        r"\[\] is too short",
    ),
    (
        lambda client: client.chat.completions.create(model="tiny", messages=USER, tools=[WEATHER]),
        openai.BadRequestError,
        "does not support tools",
    ),
    (
        lambda client: client.chat.completions.create(
            model="tiny",
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
                }
            ],
        ),
        openai.BadRequestError,
        "image URLs are not currently supported",
    ),
    (
        lambda client: client.chat.completions.create(
            model="tiny",
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
                }
            ],
        ),
        openai.BadRequestError,
        "does not support images",
    ),
    (
        lambda client: client.completions.create(model="tiny", prompt="x", suffix="y"),
        openai.BadRequestError,
        "does not support insert",
    ),
    (lambda client: client.completions.create(model="tiny", prompt=[1, 2]), openai.BadRequestError, "tokens"),
    (
        lambda client: client.completions.create(model="tiny", prompt="x", best_of=3),
        openai.BadRequestError,
        "'best_of'",
    ),
]


@pytest.mark.parametrize(("call", "kind", "said"), CALLS)
def test_errors_have_their_status_and_text(
    client: openai.OpenAI,
    call: Callable[[openai.OpenAI], object],
    kind: type[openai.APIStatusError],
    said: str,
) -> None:
    with pytest.raises(kind, match=said) as caught:
        call(client)
    assert isinstance(caught.value.body, dict)
    assert {*caught.value.body} == {"message", "type", "param", "code"}


async def test_async_answers_at_the_same_time_are_each_their_own(aclient: openai.AsyncOpenAI) -> None:
    async def chat(text: str) -> str | None:
        done = await aclient.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": text}], temperature=0
        )
        return done.choices[0].message.content

    async def stream(text: str) -> str | None:
        events = await aclient.responses.create(model="tiny", input=text, temperature=0, stream=True)
        return "".join([event.delta async for event in events if event.type == "response.output_text.delta"])

    asked = [each.question for each in SAMPLE]
    answers = [each.answer for each in SAMPLE]
    assert await asyncio.gather(*map(chat, asked), *map(stream, asked)) == answers * 2


async def test_an_async_client_that_leaves_frees_its_slots(
    aclient: openai.AsyncOpenAI, server: Server
) -> None:
    schema: dict[str, object] = {"type": "array", "items": {"type": "integer"}, "minItems": 1000}
    stream = await aclient.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "Count."}],
        n=2,
        stream=True,
        max_tokens=1500,
        response_format={"type": "json_schema", "json_schema": {"name": "numbers", "schema": schema}},
    )
    assert (await anext(aiter(stream))).choices
    await stream.close()
    until(lambda: server.busy("tiny:latest") == 0, "the slots are free", within=1.0)
