"""What a message is made of, streamed and whole, for whatever the service says."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.sse import Frame, frames, joined, stream
from tropa.server.anthropic import blocks
from tropa.server.anthropic.content import conversation
from tropa.server.reading import Fields
from tropa.service.events import Counts, Dropped, End, Event, Piece

CALL = {"id": "call_1", "function": {"index": 0, "name": "paint", "arguments": {"colour": "red"}}}
END = End("stop", Counts(prompt_tokens=7, cached_tokens=3, tokens=5))


async def said(*events: Event, stops: tuple[str, ...] = ()) -> list[Frame]:
    found = frames(await joined(blocks.frames("m", stops, 4, stream(events))))
    assert all(frame.event == frame.data["type"] for frame in found)
    assert [frame.event for frame in found[:2]] == ["message_start", "ping"]
    return found


async def test_a_block_is_closed_before_the_next_opens() -> None:
    found = await said(Piece(thinking="h"), Piece("so", "m"), Piece(tool_calls=(CALL,)), Piece("then"), END)
    shown = [
        (frame.event.removeprefix("content_block_"), frame.data.get("index"), _inside(frame))
        for frame in found[2:]
    ]
    assert shown == [
        ("start", 0, "thinking"),
        ("delta", 0, "h"),
        ("delta", 0, "m"),
        ("delta", 0, "unsigned"),
        ("stop", 0, None),
        ("start", 1, "text"),
        ("delta", 1, "so"),
        ("stop", 1, None),
        ("start", 2, "tool_use"),
        ("delta", 2, '{"colour":"red"}'),
        ("stop", 2, None),
        ("start", 3, "text"),
        ("delta", 3, "then"),
        ("stop", 3, None),
        ("message_delta", None, None),
        ("message_stop", None, None),
    ]
    assert found[-2].data["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}


def _inside(frame: Frame) -> Any:
    if block := frame.data.get("content_block"):
        return block["type"]
    if frame.event != "content_block_delta":
        return None
    return next(value for key, value in frame.data["delta"].items() if key != "type")


async def test_what_is_whole_says_the_same_as_the_stream() -> None:
    message, last = await blocks.whole(
        "m",
        (),
        stream([Piece(thinking="h"), Piece("so", "m"), Piece(tool_calls=(CALL,)), Piece("then"), END]),
    )
    assert last is END
    assert message["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "unsigned"},
        {"type": "text", "text": "so"},
        {"type": "tool_use", "id": "call_1", "name": "paint", "input": {"colour": "red"}},
        {"type": "text", "text": "then"},
    ]
    assert message["stop_reason"] == "tool_use"


async def test_the_start_estimates_and_the_end_knows() -> None:
    dropped = Dropped(2, 30)
    found = await said(Piece("a", dropped=dropped), End("length", END.counts, dropped=dropped))
    assert found[0].data["message"]["usage"] == {"input_tokens": 4, "output_tokens": 0}
    assert found[-2].data["delta"]["stop_reason"] == "max_tokens"
    assert found[-2].data["usage"] == {
        "input_tokens": 4,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 3,
        "output_tokens": 5,
        "truncated": {"messages": 2, "tokens": 30},
    }


async def test_an_answer_without_a_word_has_no_blocks() -> None:
    assert [frame.event for frame in await said(END)][2:] == ["message_delta", "message_stop"]
    message, _ = await blocks.whole("m", (), stream([END]))
    assert message["content"] == []


@pytest.mark.parametrize(
    ("stops", "reason"), [(("X",), "stop_sequence"), (("Y",), "end_turn"), ((), "end_turn")]
)
async def test_only_a_stop_that_was_asked_for_is_named(stops: tuple[str, ...], reason: str) -> None:
    """A model has stop sequences of its own, which are how it ends its turn."""
    found = await said(Piece("a"), End("stop", stopped_by="X"), stops=stops)
    assert found[-2].data["delta"]["stop_reason"] == reason


def test_blocks_become_messages() -> None:
    body = {
        "system": [{"type": "text", "text": "Be "}, {"type": "text", "text": "kind."}],
        "messages": [
            {"role": "user", "content": "Hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "unsigned"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "text", "text": "Wait."},
                    {"type": "tool_use", "id": "a", "name": "paint", "input": {"colour": "red"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "So?"},
                    {
                        "type": "tool_result",
                        "tool_use_id": "a",
                        "content": [{"type": "text", "text": "no"}],
                        "is_error": True,
                    },
                    {"type": "document", "source": {"type": "text", "data": "A page."}, "title": "T"},
                ],
            },
            {"role": "assistant", "content": []},
        ],
    }
    assert conversation(Fields(body)) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": "Wait.",
            "thinking": "hm",
            "tool_calls": [{"id": "a", "function": {"name": "paint", "arguments": {"colour": "red"}}}],
        },
        {"role": "tool", "content": "Error: no", "tool_call_id": "a", "tool_name": "paint"},
        {"role": "user", "content": "So?\n\nT\nA page.\n"},
    ]
