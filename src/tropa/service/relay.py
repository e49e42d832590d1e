"""An engine's stream as events: pieces of the answer, then how it ended and what it cost.

The engine knows its slot's context; a request that asked for less than the runner has is held to its own ask
here. This runs once per token, so it does nothing that can be done once per request.
"""

from __future__ import annotations

import json
import random
import string
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tropa.runners.errors import ContextExceeded, EngineRefused, RunnerDied
from tropa.runners.herd import Slot
from tropa.runners.reply import EngineFault, Progress, Timings, ToolCallPiece, decode_chat, decode_completion
from tropa.service.events import Piece

_ID_LETTERS = string.ascii_lowercase + string.digits
NO_TIMINGS = Timings()


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of one stream. `prompt_tokens` is the whole prompt, as far as the engine said."""

    reason: Literal["stop", "length"]
    timings: Timings
    prompt_tokens: int


async def completion(slot: Slot, body: dict[str, Any], top: int = 0) -> AsyncGenerator[Piece | Finish, None]:
    """Relay `/completion`: a prompt as text, an answer as text. `top` alternatives per token's log-probability."""
    allowance = _Allowance(slot)
    async with aclosing(slot.stream("/completion", {**body, **_STREAMED, **allowance.asked})) as records:
        async for record in records:
            chunk = decode_completion(record)
            if chunk.error:
                raise _fault(chunk.error)
            if chunk.prompt_progress:
                allowance.prompt(chunk.prompt_progress)
                continue
            if chunk.content or chunk.completion_probabilities:
                yield Piece(chunk.content, logprobs=_logprobs(chunk.completion_probabilities, top))
            if chunk.stop:
                reason: Literal["stop", "length"] = "length" if chunk.stop_type == "limit" else "stop"
                yield Finish(reason, chunk.timings or NO_TIMINGS, allowance.prompt_tokens)
                return
            if allowance.spent(chunk.timings):
                yield allowance.finish()
                return
    raise RunnerDied("the engine's stream ended without a final record")


async def chat(slot: Slot, body: dict[str, Any], top: int = 0) -> AsyncGenerator[Piece | Finish, None]:
    """Relay `/v1/chat/completions`: messages in, text, thinking and tool calls out."""
    allowance = _Allowance(slot)
    calls = _ToolCalls()
    reason: Literal["stop", "length"] | None = None
    asked = {**body, **_STREAMED, **allowance.asked}
    async with aclosing(slot.stream("/v1/chat/completions", asked)) as records:
        async for record in records:
            chunk = decode_chat(record)
            if chunk.error:
                raise _fault(chunk.error)
            if chunk.prompt_progress:
                allowance.prompt(chunk.prompt_progress)
                continue
            for choice in chunk.choices:
                delta = choice.delta
                if delta.tool_calls:
                    calls.add(delta.tool_calls)
                if delta.content or delta.reasoning_content or choice.logprobs:
                    probabilities = choice.logprobs.content if choice.logprobs else None
                    yield Piece(
                        delta.content or "",
                        delta.reasoning_content or "",
                        logprobs=_logprobs(probabilities, top),
                    )
                if choice.finish_reason:
                    reason = "length" if choice.finish_reason == "length" else "stop"
            if chunk.timings and reason:
                if found := calls.whole():
                    yield Piece(tool_calls=found)
                yield Finish(reason, chunk.timings, allowance.prompt_tokens)
                return
            if reason is None and allowance.spent(chunk.timings):
                yield allowance.finish()
                return
    raise RunnerDied("the engine's stream ended without a final record")


async def mute(
    events: AsyncGenerator[Piece | Finish, None],
) -> AsyncGenerator[Piece | Finish, None]:
    """For `num_predict` 0: the prompt is processed, nothing is said. Engines make one token even then."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finish):
                timings = msgspec.structs.replace(event.timings, predicted_n=0, predicted_ms=0.0)
                yield Finish("length", timings, event.prompt_tokens)


# Progress makes the engine notice a client that leaves during prompt processing, once per batch.
_STREAMED = {"stream": True, "return_progress": True, "cache_prompt": True}


class _Allowance:
    """Holds a request to the context it was granted, which can be less than the slot's. The engine then has to count
    aloud: not every record is a token, and not every token makes a record."""

    def __init__(self, slot: Slot) -> None:
        self._context = slot.context
        self._held = slot.context < slot.runner_context
        self._timings = NO_TIMINGS
        self.asked = {"timings_per_token": True} if self._held else {}
        self.prompt_tokens = 0

    def prompt(self, progress: Progress) -> None:
        """Take in the prompt's length. Raises ContextExceeded before the first token is generated."""
        self.prompt_tokens = progress.total
        if self._held and progress.total >= self._context:
            raise ContextExceeded(progress.total, self._context)

    def spent(self, timings: Timings | None) -> bool:
        """Whether there is no room for another token."""
        if timings is None or not self._held:
            return False
        self._timings = timings
        return self.prompt_tokens + timings.predicted_n >= self._context

    def finish(self) -> Finish:
        """The end that we make: the engine says nothing more to who hangs up."""
        return Finish("length", self._timings, self.prompt_tokens)


class _ToolCalls:
    """Puts tool calls together from their pieces."""

    def __init__(self) -> None:
        self._ids: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._arguments: dict[int, str] = {}

    def add(self, pieces: list[ToolCallPiece]) -> None:
        for piece in pieces:
            if piece.id:
                self._ids[piece.index] = piece.id
            if piece.function.name:
                self._names[piece.index] = piece.function.name
            self._arguments[piece.index] = self._arguments.get(piece.index, "") + piece.function.arguments

    def whole(self) -> tuple[dict[str, Any], ...]:
        """All calls, in order, arguments as objects; a call cut off in its arguments is left out."""
        calls = []
        for index in sorted(self._names):
            try:
                arguments = json.loads(self._arguments.get(index) or "{}")
            except json.JSONDecodeError:
                continue
            ident = self._ids.get(index) or "call_" + "".join(random.choices(_ID_LETTERS, k=8))  # noqa: S311 - a label
            function = {"index": index, "name": self._names[index], "arguments": arguments}
            calls.append({"id": ident, "function": function})
        return tuple(calls)


def _logprobs(entries: list[Any] | None, top: int) -> tuple[dict[str, Any], ...]:
    if not entries:
        return ()
    found = []
    for entry in entries:
        item = _logprob(entry)
        if top:
            item["top_logprobs"] = [_logprob(other) for other in entry.get("top_logprobs", [])[:top]]
        found.append(item)
    return tuple(found)


def _logprob(entry: dict[str, Any]) -> dict[str, Any]:
    item = {"token": entry.get("token", ""), "logprob": entry.get("logprob", 0.0)}
    if entry.get("bytes"):
        item["bytes"] = entry["bytes"]
    return item


def _fault(fault: EngineFault) -> EngineRefused | ContextExceeded:
    if fault.type == "exceed_context_size_error":
        return ContextExceeded(fault.n_prompt_tokens, fault.n_ctx)
    return EngineRefused(fault.message, fault.code, fault.type)
