"""Which messages stay when not all fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropa.service.history import Message, dropped, fit, kept, starts


def said(roles: str) -> list[dict[str, Any]]:
    """One message per letter: s(ystem), u(ser), a(ssistant), t(ool). Each is told apart by its number."""
    names = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return [{"role": names[letter], "content": str(number)} for number, letter in enumerate(roles)]


def numbers(messages: Sequence[Message]) -> str:
    return " ".join(message["content"] for message in messages)


@pytest.mark.parametrize(
    ("roles", "found"),
    [
        ("", []),
        ("u", []),
        ("su", []),
        ("uau", [1, 2]),
        ("suau", [2, 3]),
        ("usu", [1]),
        ("ssuu", [3]),
        ("uatu", [1, 3]),
        ("uattu", [1, 4]),
        ("uat", [1]),
        ("uatatu", [1, 3, 5]),
        ("at", []),
        ("us", [1]),
        ("tu", [1]),
    ],
)
def test_where_the_kept_part_may_begin(roles: str, found: list[int]) -> None:
    assert starts(said(roles)) == found


@pytest.mark.parametrize(
    ("roles", "start", "left", "gone"),
    [("suau", 2, "0 2 3", 1), ("suau", 3, "0 3", 2), ("usu", 1, "1 2", 1), ("usau", 3, "1 3", 2)],
)
def test_system_messages_move_in_front_of_what_is_kept(roles: str, start: int, left: str, gone: int) -> None:
    assert numbers(kept(said(roles), start)) == left
    assert dropped(said(roles), start) == gone


@given(st.text("suat", min_size=1, max_size=12))
def test_what_every_cut_keeps(roles: str) -> None:
    messages = said(roles)
    before: Sequence[Message] = messages
    for start in starts(messages):
        left = kept(messages, start)
        assert left[-1] is messages[-1], "the last message stays"
        assert [each for each in messages if each["role"] == "system"] == [
            each for each in left if each["role"] == "system"
        ]
        assert messages[start]["role"] != "tool", "a tool's answer goes with its call"
        assert len(left) < len(before), "each cut drops something"
        assert dropped(messages, start) == len(messages) - len(left)
        before = left


@given(st.text("suat", min_size=2, max_size=12).filter(lambda roles: starts(said(roles))), st.data())
async def test_the_first_cut_that_fits_is_found(roles: str, data: st.DataObject) -> None:
    messages = said(roles)
    lengths = data.draw(st.lists(st.integers(0, 9), min_size=len(roles), max_size=len(roles)))
    limit = data.draw(st.integers(0, 60))
    asked = 0

    def length(some: Sequence[Message]) -> int:
        return sum(lengths[int(each["content"])] for each in some)

    async def count(some: Sequence[Message]) -> int:
        nonlocal asked
        asked += 1
        return length(some)

    places = starts(messages)
    fitting = [start for start in places if length(kept(messages, start)) <= limit]
    found = await fit(messages, limit, count)
    start = fitting[0] if fitting else places[-1]
    assert found == (start, length(kept(messages, start)))
    assert asked <= 1 + len(places).bit_length()
