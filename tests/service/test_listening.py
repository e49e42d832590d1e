"""Raw text heard as thinking, answer and calls; log-probabilities stay with their text."""

from __future__ import annotations

from typing import Any

import pytest

from tropa.service.events import Piece
from tropa.service.listening import Listener
from tropa.templates.thinking import ThinkingParser
from tropa.templates.toolcalls import ToolCallParser

CALL = '{"name": "now", "arguments": {"zone": 1}}'


def listener(*, thinking: bool = True, calls: bool = True) -> Listener:
    return Listener(
        ThinkingParser("<think>", "</think>") if thinking else None,
        ToolCallParser("<t>", ["now"]) if calls else None,
    )


def hear(listener: Listener, *texts: str) -> list[tuple[str, str, int]]:
    pieces = [piece for text in texts for piece in listener.feed(Piece(text))] + [*listener.finish()]
    return [(piece.thinking, piece.text, len(piece.tool_calls)) for piece in pieces]


def test_thinking_text_and_a_call() -> None:
    ears = listener()
    heard = hear(ears, "<think>hm</think> Well: <t>" + CALL, "</t>")
    assert heard == [("hm", "", 0), ("", "Well: ", 0), ("", "", 1)]
    assert ears.called


def test_what_is_held_back_comes_at_the_end() -> None:
    assert hear(listener(), "  <thi") == [("", "  <thi", 0)]
    assert hear(listener(), "a <") == [("", "a ", 0), ("", "<", 0)]


def test_the_answer_is_measured() -> None:
    ears = listener(calls=False)
    text = "<think>hm</think>\n\nYes"
    hear(ears, *text)
    assert text[len(text) - ears.answer :] == "Yes"


def test_a_thought_that_is_not_over() -> None:
    ears = listener()
    hear(ears, "<think>hm")
    assert ears.thinking
    hear(ears, "</think>")
    assert not ears.thinking


def test_ordinary_pieces_pass_as_they_are() -> None:
    ears = listener(calls=False)
    ears.feed(Piece("One"))
    piece = Piece(" two")
    assert ears.feed(piece)[0] is piece


@pytest.mark.parametrize("text", ["<thin", "<think>a", "b", "b</think>c<t", "x"])
def test_logprobs_come_once_whatever_becomes_of_their_text(text: str) -> None:
    ears = listener()
    entry: dict[str, Any] = {"token": text, "logprob": -1.0}
    pieces = ears.feed(Piece(text, logprobs=(entry,)))
    assert [piece.logprobs for piece in pieces if piece.logprobs] == [(entry,)]
