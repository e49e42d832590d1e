"""What a response is made of, streamed and whole, for whatever the service says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.sse import Frame, frames, joined, stream
from tropa.runners.errors import RunnerDied
from tropa.server.openai.responses import toolbox
from tropa.server.openai.responses.described import Described
from tropa.server.openai.responses.output import Output
from tropa.server.openai.responses.request import asked
from tropa.server.reading import Fields
from tropa.service.events import Counts, Dropped, End, Event, Piece

CALL = {"id": "call_1", "function": {"index": 0, "name": "paint", "arguments": {"colour": "red"}}}
END = End("stop", Counts(prompt_tokens=7, cached_tokens=3, tokens=5))


def output(**body: Any) -> Output:
    fields = Fields({"model": "m", "input": "Hi", **body})
    tools = toolbox.read(fields)
    return Output(Described(fields, asked(fields, {"type": "http"}, tools), tools))


async def said(*events: Event) -> list[Frame]:
    found = frames(await joined(output().frames(stream(events))))
    assert [frame.data["sequence_number"] for frame in found] == list(range(len(found)))
    assert all(frame.event == frame.data["type"] for frame in found)
    return found


async def test_thoughts_words_and_calls_are_items_one_after_the_other() -> None:
    found = await said(
        Piece(thinking="h"), Piece(thinking="m"), Piece("so"), Piece(tool_calls=(CALL,)), Piece("then"), END
    )
    kinds = [frame.event.removeprefix("response.") for frame in found]
    text = ["output_item.added", "content_part.added", "output_text.delta"]
    text += ["output_text.done", "content_part.done", "output_item.done"]
    assert kinds == [
        *("created", "in_progress"),
        *("output_item.added", "reasoning_summary_part.added"),
        *("reasoning_summary_text.delta", "reasoning_summary_text.delta", "reasoning_summary_text.done"),
        *("reasoning_summary_part.done", "output_item.done"),
        *text,
        *("output_item.added", "function_call_arguments.delta", "function_call_arguments.done"),
        "output_item.done",
        *text,
        "completed",
    ]
    done = [frame.data for frame in found if frame.event == "response.output_item.done"]
    assert [each["output_index"] for each in done] == [0, 1, 2, 3]
    final = found[-1].data["response"]
    assert final["output"] == [each["item"] for each in done]
    assert [item["type"] for item in final["output"]] == ["reasoning", "message", "function_call", "message"]
    assert final["output"][0]["summary"] == [{"type": "summary_text", "text": "hm"}]
    assert final["output"][0]["encrypted_content"] == "hm"
    assert final["output"][2]["arguments"] == '{"colour":"red"}'
    assert final["usage"]["output_tokens_details"] == {"reasoning_tokens": 2}
    assert final["usage"]["input_tokens_details"]["cached_tokens"] == 3


async def test_what_is_whole_says_the_same_as_the_stream() -> None:
    events: list[Event] = [Piece("a"), Piece(tool_calls=(CALL,)), END]
    streamed = (await said(*events))[-1].data["response"]
    made = output()
    for event in events:
        made.feed(event)
    whole = made.response(END)
    for item in [*streamed["output"], *whole["output"]]:
        item.pop("id")
    assert whole["output"] == streamed["output"]
    assert {*whole} == {*streamed}


async def test_an_answer_without_a_word_has_an_empty_message() -> None:
    """Announced as any other: a client that puts the stream together has it too."""
    found = await said(END)
    final = found[-1].data["response"]
    assert [item["content"][0]["text"] for item in final["output"]] == [""]
    announced = [frame.data["item"]["id"] for frame in found if frame.event == "response.output_item.added"]
    assert announced == [item["id"] for item in final["output"]]


async def test_an_answer_that_was_cut_is_incomplete() -> None:
    last = (await said(Piece("a"), End("length", dropped=Dropped(1, 9))))[-1]
    assert last.event == "response.incomplete"
    assert last.data["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last.data["response"]["usage"]["truncated"] == {"messages": 1, "tokens": 9}
    (item,) = last.data["response"]["output"]
    assert (item["status"], item["content"][0]["text"]) == ("incomplete", "a")


async def test_a_failure_in_the_middle_is_an_event_with_what_there_was() -> None:
    made = output()
    made.feed(Piece("a"))
    *closing, frame = frames(made.failed(RunnerDied("signal: SIGKILL")))
    assert [each.event.removeprefix("response.") for each in closing] == [
        "output_text.done",
        "content_part.done",
        "output_item.done",
    ]
    (item,) = frame.data["response"]["output"]
    assert (item["status"], item["content"][0]["text"]) == ("incomplete", "a")
    assert frame.event == "response.failed"
    assert frame.data["response"]["status"] == "failed"
    assert frame.data["response"]["error"]["code"] == "server_error"
    assert "SIGKILL" in frame.data["response"]["error"]["message"]


def test_the_answer_tells_back_what_was_asked() -> None:
    tool = {"type": "function", "name": "paint", "parameters": {"type": "object"}}
    body = {"tools": [tool], "tool_choice": "required", "instructions": "Be kind.", "metadata": {"a": "b"}}
    told = output(**body, max_output_tokens=9, reasoning={"effort": "low"}).response(END)
    assert told["tools"] == [{**tool, "description": None, "strict": None}]
    assert (told["tool_choice"], told["instructions"], told["metadata"]) == (
        "required",
        "Be kind.",
        {"a": "b"},
    )
    assert (told["max_output_tokens"], told["reasoning"]) == (9, {"effort": "low", "summary": None})
    assert (told["temperature"], told["top_p"], told["store"]) == (1.0, 1.0, False)


@pytest.mark.parametrize(
    ("items", "messages"),
    [
        ("Hi", [{"role": "user", "content": "Hi"}]),
        (
            [
                {"type": "reasoning", "summary": [], "encrypted_content": "hm"},
                {"type": "function_call", "call_id": "a", "name": "f", "arguments": '{"x": 1}'},
                {"type": "function_call", "call_id": "b", "name": "g", "arguments": ""},
                {"role": "assistant", "content": "Wait."},
                {
                    "type": "function_call_output",
                    "call_id": "a",
                    "output": [{"type": "input_text", "text": "1"}],
                },
            ],
            [
                {
                    "role": "assistant",
                    "content": "Wait.",
                    "thinking": "hm",
                    "tool_calls": [
                        {"id": "a", "function": {"name": "f", "arguments": {"x": 1}}},
                        {"id": "b", "function": {"name": "g", "arguments": {}}},
                    ],
                },
                {"role": "tool", "content": "1", "tool_call_id": "a", "tool_name": "f"},
            ],
        ),
        (
            [
                {"role": "developer", "content": "Kind."},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            ],
            [
                {"role": "system", "content": "Kind."},
                {"role": "assistant", "content": "", "thinking": "hm"},
            ],
        ),
    ],
)
def test_items_become_messages(items: Any, messages: list[Any]) -> None:
    fields = Fields({"model": "m", "input": items})
    assert asked(fields, {"type": "http"}, toolbox.read(fields)).messages == messages


async def test_a_custom_tool_takes_any_text() -> None:
    tool = {"type": "custom", "name": "sh", "description": "x", "format": {"type": "text"}}
    items = [
        {"role": "user", "content": "Hi"},
        {"type": "custom_tool_call", "call_id": "a", "name": "sh", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "."},
    ]
    fields = Fields(
        {"model": "m", "input": items, "tools": [tool], "tool_choice": {"type": "custom", "name": "sh"}}
    )
    tools = toolbox.read(fields)
    ask = asked(fields, {"type": "http"}, tools)
    assert ask.tool_choice == "required"
    call = {"id": "a", "function": {"name": "sh", "arguments": {"input": "ls"}}}
    assert ask.messages[1:] == [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": ".", "tool_call_id": "a", "tool_name": "sh"},
    ]
    found = frames(
        await joined(Output(Described(fields, ask, tools)).frames(stream([Piece(tool_calls=(call,)), END])))
    )
    assert [frame.event.removeprefix("response.") for frame in found[2:]] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "completed",
    ]
    response = found[-1].data["response"]
    assert response["tools"] == [tool]
    (item,) = response["output"]
    assert (item["type"], item["call_id"], item["name"], item["input"]) == (
        "custom_tool_call",
        "a",
        "sh",
        "ls",
    )
