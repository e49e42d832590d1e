"""Messages made of blocks become native ones, in the order in which a model has to read them."""

from __future__ import annotations

from typing import Any

import pytest

from tropa.server.anthropic.content import conversation
from tropa.server.reading import BadField, Fields

ASK = {"role": "user", "content": "x"}


def read(*messages: Any, **fields: Any) -> list[dict[str, Any]]:
    return conversation(Fields({"messages": [*messages], **fields}))


def test_neighbours_of_one_role_are_one_turn() -> None:
    call = {"type": "tool_use", "id": "a", "name": "now", "input": {}}
    thought = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    told = read(
        ASK,
        {"role": "user", "content": "y"},
        {"role": "assistant", "content": [thought, {"type": "text", "text": "One"}]},
        {"role": "assistant", "content": "two"},
        {"role": "assistant", "content": [call]},
    )
    assert told == [
        {"role": "user", "content": "x\n\ny"},
        {
            "role": "assistant",
            "content": "One\n\ntwo",
            "thinking": "Hm.",
            "tool_calls": [{"id": "a", "function": {"name": "now", "arguments": {}}}],
        },
    ]


def test_results_of_tools_stay_apart_from_each_other_and_from_what_is_said() -> None:
    calls = [{"type": "tool_use", "id": each, "name": "now", "input": {}} for each in "ab"]
    results = [{"type": "tool_result", "tool_use_id": each, "content": each} for each in "ab"]
    told = read(ASK, {"role": "assistant", "content": calls}, {"role": "user", "content": results})
    assert [each["role"] for each in told] == ["user", "assistant", "tool", "tool"]


def test_a_result_comes_before_the_words_about_it() -> None:
    call = {"type": "tool_use", "id": "a", "name": "now", "input": {"zone": "UTC"}}
    found = {"type": "tool_result", "tool_use_id": "a", "content": "12", "is_error": True}
    told = read(
        ASK,
        {"role": "assistant", "content": [{"type": "text", "text": "Hm."}, call]},
        {"role": "user", "content": [{"type": "text", "text": "So?"}, found]},
    )
    assert told[1:] == [
        {
            "role": "assistant",
            "content": "Hm.",
            "tool_calls": [{"id": "a", "function": {"name": "now", "arguments": {"zone": "UTC"}}}],
        },
        {"role": "tool", "content": "Error: 12", "tool_call_id": "a", "tool_name": "now"},
        {"role": "user", "content": "So?"},
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            [
                {
                    "type": "web_search_result",
                    "title": "T",
                    "url": "https://t.example",
                    "encrypted_content": "x",
                }
            ],
            "T\nhttps://t.example",
        ),
        (
            {"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"},
            "Error: max_uses_exceeded",
        ),
    ],
)
def test_a_search_in_the_middle_of_a_turn_stands_between_its_words(content: Any, words: str) -> None:
    turn = [
        {"type": "text", "text": "I search."},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": content},
        {"type": "text", "text": "I found."},
    ]
    _, before, found, after = read(ASK, {"role": "assistant", "content": turn})
    assert (before["content"], before["tool_calls"][0]["function"]["name"]) == ("I search.", "web_search")
    assert found == {"role": "tool", "content": words, "tool_call_id": "s", "tool_name": "web_search"}
    assert after == {"role": "assistant", "content": "I found."}


def test_roles_have_any_letter_case_and_system_may_stand_in_between() -> None:
    told = read({"role": "USER", "content": "x"}, {"role": "System", "content": "y"}, system="z")
    assert [(each["role"], each["content"]) for each in told] == [
        ("system", "z"),
        ("user", "x"),
        ("system", "y"),
    ]


@pytest.mark.parametrize(
    ("block", "path"),
    [
        ({"type": "text"}, "messages[0].content[0].text"),
        ({"type": "document", "source": {"type": "url", "url": "x"}}, "messages[0].content[0].source"),
        (
            {"type": "document", "source": {"type": "content", "content": [{"type": "image"}]}},
            "messages[0].content[0].source.content[0].type",
        ),
        ({"type": "search_result", "content": [{"type": "text"}]}, "messages[0].content[0].content[0].text"),
        ({"type": "tool_result", "content": "x"}, "messages[0].content[0].tool_use_id"),
        ({"type": "container_upload", "file_id": "x"}, "messages[0].content[0].type"),
    ],
)
def test_a_block_that_tells_nothing_is_refused_by_its_place(block: dict[str, Any], path: str) -> None:
    with pytest.raises(BadField) as caught:
        read({"role": "user", "content": [block]})
    assert caught.value.path == path
