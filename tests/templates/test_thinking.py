"""Thinking told from the answer: the vectors, and that no cutting of the text matters."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropa.templates.thinking import ThinkingParser, overlap

CASES = [
    (["<think> internal </think> world"], "internal ", "world"),
    (["<think>a</think><think>b</think>c"], "a", "<think>b</think>c"),
    (["  abc"], "", "  abc"),
    (["<think>abc</th", "ing>def"], "abc</thing>def", ""),
    (["<th", "ink>a</th", "ink>b"], "a", "b"),
    ([" \n<think>\n a b \n</think>\n\n c \n"], "a b \n", "c \n"),
    (["abc <think>d</think>"], "", "abc <think>d</think>"),
    (["<think></think>x"], "", "x"),
    (["<think>no end"], "no end", ""),
    (["<thin"], "", "<thin"),  # a partial tag at the end is text
    (["<think>a</thi"], "a</thi", ""),
    (["  "], "", "  "),
    (["<thinking>x"], "", "<thinking>x"),
    ([], "", ""),
]


def parse(pieces: list[str], *, inside: bool = False) -> tuple[str, str]:
    parser = ThinkingParser("<think>", "</think>", inside=inside)
    said = [parser.feed(piece) for piece in pieces] + [parser.finish()]
    thinking, content = zip(*said, strict=True)
    return "".join(thinking), "".join(content)


@pytest.mark.parametrize(("pieces", "thinking", "content"), CASES)
def test_vectors(pieces: list[str], thinking: str, content: str) -> None:
    assert parse(pieces) == (thinking, content)


@pytest.mark.parametrize(("pieces", "thinking", "content"), CASES)
def test_the_same_letter_by_letter(pieces: list[str], thinking: str, content: str) -> None:
    assert parse([*"".join(pieces)]) == (thinking, content)


@pytest.mark.parametrize(
    ("text", "thinking", "content"),
    [
        ("\n hm </think>\n\nYes", "hm ", "Yes"),
        ("hm", "hm", ""),
        ("</think>Yes", "", "Yes"),
    ],
)
def test_a_prompt_that_ends_with_the_opening_tag(text: str, thinking: str, content: str) -> None:
    assert parse([text], inside=True) == parse([*text], inside=True) == (thinking, content)


def test_a_thought_is_told_as_soon_as_it_is_certain() -> None:
    parser = ThinkingParser("<think>", "</think>")
    assert parser.feed("<think>one ") == ("one ", "")
    assert parser.feed("two <") == ("two ", "")
    assert parser.feed("/think> \n") == ("", "")
    assert not parser.answering
    assert parser.feed("Yes") == ("", "Yes")
    assert parser.answering


@given(
    st.lists(
        st.sampled_from(["<think>", "</think>", "<", "/", "th", "ink>", " ", "\n", "a", "é"]), max_size=12
    ),
    st.data(),
    st.booleans(),
)
def test_however_the_text_is_cut(words: list[str], data: st.DataObject, inside: bool) -> None:
    text = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in pairwise([0, *cuts, len(text)])]
    assert parse(pieces, inside=inside) == parse([text], inside=inside)


@given(st.text("<think>ab ", max_size=20))
def test_text_without_the_tag_stays_as_it_is(text: str) -> None:
    if not text.lstrip().startswith("<think>"):
        assert parse([*text]) == ("", text)


@pytest.mark.parametrize(
    ("text", "tag", "length"), [("abc<", "</a>", 1), ("</a", "</a>", 3), ("</a>", "</a>", 0), ("", "x", 0)]
)
def test_overlap(text: str, tag: str, length: int) -> None:
    assert overlap(text, tag) == length
