"""What a streamed chat completion is made of, for whatever the service says."""

from __future__ import annotations

from typing import Any

from tests.support.sse import frames, joined, stream
from tropa.server.openai.chunks import Chunks
from tropa.service.events import Counts, Dropped, End, Event, Piece, Rendered

CALL = {"id": "call_1", "function": {"index": 0, "name": "paint", "arguments": {"colour": "red"}}}
OTHER = {"id": "call_2", "function": {"index": 0, "name": "plant", "arguments": {}}}
END = End("stop", Counts(prompt_tokens=7, cached_tokens=3, tokens=5))


async def said(*events: Event | tuple[int, Event], usage: bool = False) -> list[Any]:
    numbered = [event if isinstance(event, tuple) else (0, event) for event in events]
    chunks = Chunks("m", include_usage=usage)
    found = frames(await joined(chunks.frames(stream(numbered))))
    assert found[-1].data == "[DONE]"
    assert not any(frame.event for frame in found)
    return [frame.data for frame in found[:-1]]


def deltas(chunks: list[Any]) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks]


async def test_the_role_comes_once_and_the_end_in_a_chunk_of_its_own() -> None:
    chunks = await said(Piece("He"), Piece("llo"), END)
    assert deltas(chunks) == [{"role": "assistant", "content": "He"}, {"content": "llo"}, {}]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop"]
    assert all(chunk["object"] == "chat.completion.chunk" and "usage" not in chunk for chunk in chunks)


async def test_thoughts_have_both_names_and_are_split_from_words() -> None:
    chunks = await said(Piece(thinking="hm"), Piece("so", "well"), END)
    assert deltas(chunks) == [
        {"role": "assistant", "reasoning": "hm", "reasoning_content": "hm", "content": ""},
        {"reasoning": "well", "reasoning_content": "well"},
        {"content": "so"},
        {},
    ]


async def test_calls_are_whole_and_numbered_through() -> None:
    chunks = await said(Piece(tool_calls=(CALL,)), Piece(tool_calls=(OTHER,)), END)
    calls = [call for delta in deltas(chunks) for call in delta.get("tool_calls", [])]
    assert calls[0] == {
        "id": "call_1",
        "index": 0,
        "type": "function",
        "function": {"name": "paint", "arguments": '{"colour":"red"}'},
    }
    assert [call["index"] for call in calls] == [0, 1]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_a_call_that_was_cut_ends_by_its_length() -> None:
    chunks = await said(Piece(tool_calls=(CALL,)), End("length"))
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


async def test_an_answer_without_a_word_still_has_a_beginning() -> None:
    assert deltas(await said(END)) == [{"role": "assistant", "content": ""}, {}]


async def test_usage_is_the_last_chunk_and_tells_what_was_dropped() -> None:
    end = End("stop", END.counts, dropped=Dropped(2, 30))
    *_, last = await said(Piece("x", dropped=Dropped(2, 30)), end, usage=True)
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 3},
        "truncated": {"messages": 2, "tokens": 30},
    }


async def test_choices_go_side_by_side_and_share_one_prompt() -> None:
    chunks = await said((0, Piece("a")), (1, Piece("b")), (1, END), (0, END), usage=True)
    indices = [chunk["choices"][0]["index"] for chunk in chunks[:-1]]
    assert indices == [0, 1, 1, 0]
    assert deltas(chunks[:2]) == [{"role": "assistant", "content": letter} for letter in "ab"]
    assert chunks[-1]["usage"]["prompt_tokens"] == 7
    assert chunks[-1]["usage"]["completion_tokens"] == 10


async def test_a_rendered_prompt_is_not_lost() -> None:
    (chunk,) = await said(Rendered("<s>Hi", 1))
    assert chunk["_debug_info"] == {"rendered_template": "<s>Hi", "image_count": 1}


async def test_log_probabilities_stand_beside_the_words_with_every_key() -> None:
    entry = {"token": "é", "logprob": -0.5}
    (chunk, _) = await said(Piece("é", logprobs=(entry,)), END)
    assert chunk["choices"][0]["logprobs"] == {
        "content": [{"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": []}]
    }
