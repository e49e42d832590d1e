"""Responses with the official client."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest

from tests.clients.openai.words import CLOCK, HELLO, WEATHER, Mood
from tests.support.bundled import long_question


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
