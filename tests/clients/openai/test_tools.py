"""Tools, and answers of a certain form, with the official client."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.clients.openai.words import CLOCK, WEATHER, Mood


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
