"""Chats with the official client."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from tests.clients.openai.words import HELLO, SAMPLE
from tests.support.bundled import long_question
from tests.support.processes import until
from tests.support.server import Server


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
