"""A model's raw text heard as thinking, answer and tool calls."""

from __future__ import annotations

from tropa.service.events import Piece, call_id
from tropa.templates.thinking import ThinkingParser
from tropa.templates.toolcalls import Call, ToolCallParser


class Listener:
    """Each piece goes first to the parser of thoughts, what is no thought to the parser of tool calls."""

    def __init__(self, thinking: ThinkingParser | None = None, calls: ToolCallParser | None = None) -> None:
        self._thinking = thinking
        self._calls = calls
        self.answer = 0
        """How many of the characters heard so far came after the thinking."""
        self.called = False

    @property
    def thinking(self) -> bool:
        """Whether a thought has begun and not ended."""
        return self._thinking is not None and self._thinking.thinking

    def feed(self, piece: Piece) -> tuple[Piece, ...]:
        """What is certain now. Log-probabilities come at once, with the first of the pieces or alone."""
        thinking, text = "", piece.text
        if self._thinking is not None:
            thinking, text = self._thinking.feed(text)
        self.answer += len(text)
        calls: list[Call] = []
        if self._calls is not None and text:
            text, calls = self._calls.feed(text)
        if not thinking and not calls:
            if text is piece.text:
                return (piece,)
            if text or piece.logprobs:
                return (Piece(text, logprobs=piece.logprobs),)
            return ()
        return self._pieces(thinking, text, calls, piece)

    def finish(self) -> tuple[Piece, ...]:
        """The text ended: what was held back."""
        thinking, text = "", ""
        if self._thinking is not None:
            thinking, text = self._thinking.finish()
            self.answer += len(text)
        calls: list[Call] = []
        if self._calls is not None:
            text, calls = self._calls.feed(text) if text else ("", [])
            text += self._calls.finish()
        return self._pieces(thinking, text, calls, Piece())

    def _pieces(self, thinking: str, text: str, calls: list[Call], heard: Piece) -> tuple[Piece, ...]:
        made = []
        if thinking:
            made.append(Piece(thinking=thinking))
        if text:
            made.append(Piece(text))
        if calls:
            self.called = True
            made.append(Piece(tool_calls=tuple(map(_record, calls))))
        if heard.logprobs:
            first = made[0] if made else Piece()
            made[:1] = [Piece(first.text, first.thinking, first.tool_calls, heard.logprobs)]
        return tuple(made)


def _record(call: Call) -> dict[str, object]:
    return {
        "id": call_id(),
        "function": {"index": call.index, "name": call.name, "arguments": call.arguments},
    }
