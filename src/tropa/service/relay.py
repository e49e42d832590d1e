"""An engine's stream as events: pieces of the answer, then how it ended and what it cost.

The engine knows its slot's context; a request that asked for less than the runner has is held to its own ask
here. This runs once per token, so it does nothing that can be done once per request.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from tropa.runners.errors import ContextExceeded, EngineRefused, RunnerDied
from tropa.runners.herd import Slot
from tropa.runners.reply import EngineFault, Progress, Timings, ToolCallPiece, decode_chat, decode_completion
from tropa.service.events import Piece, call_id
from tropa.service.stopping import Stopper

NO_TIMINGS = Timings()
MOST_REPEATS = 32
"""The piece that would be the same for this many times in a row ends the answer: the model has got stuck."""
MOST_IN_A_FORM = 512
"""The same for an answer that is held to a form."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of one stream. `prompt_tokens` is the whole prompt, as far as the engine said; `stop` the stop sequence
    that ended it, where that is known."""

    reason: Literal["stop", "length"]
    timings: Timings
    prompt_tokens: int
    stop: str = ""

    def after(self, earlier: Timings) -> Finish:
        """The end of two streams that made one answer, the second of which went on where the first was left."""
        later = self.timings
        timings = msgspec.structs.replace(
            earlier,
            prompt_ms=earlier.prompt_ms + later.prompt_ms,
            predicted_n=earlier.predicted_n + later.predicted_n,
            predicted_ms=earlier.predicted_ms + later.predicted_ms,
        )
        return Finish(self.reason, timings, earlier.cache_n + earlier.prompt_n, self.stop)


async def completion(
    slot: Slot, body: dict[str, Any], top: int = 0, tally: Tally | None = None
) -> AsyncGenerator[Piece | Finish, None]:
    """Relay `/completion`: a prompt as text, an answer as text. `top` alternatives per token's log-probability.

    `tally`: the caller's own, to know what it cost until it hung up. A model that got stuck is stopped.
    """
    allowance = tally or Tally(slot)
    formed = "grammar" in body  # then the same piece may well come often: a list of equal numbers
    stuck = _Stuck(MOST_IN_A_FORM if formed else MOST_REPEATS)
    async with aclosing(slot.stream("/completion", {**body, **_STREAMED, **allowance.asked})) as records:
        async for record in records:
            chunk = decode_completion(record)
            if chunk.error:
                raise _fault(chunk.error)
            if chunk.prompt_progress:
                allowance.prompt(chunk.prompt_progress)
                continue
            full = allowance.spent(chunk.timings)
            if chunk.content and stuck.hears(chunk.content):
                # A form that is left in the middle has not come to its end.
                yield allowance.stuck(chunk.tokens_predicted - 1, "length" if formed else "stop")
                return
            if chunk.content or chunk.completion_probabilities:
                yield Piece(chunk.content, logprobs=_logprobs(chunk.completion_probabilities, top))
            if chunk.stop:
                reason: Literal["stop", "length"] = "length" if chunk.stop_type == "limit" else "stop"
                yield Finish(
                    reason, chunk.timings or NO_TIMINGS, allowance.prompt_tokens, chunk.stopping_word
                )
                return
            if full:
                yield allowance.finish()
                return
    raise RunnerDied("the engine's stream ended without a final record")


async def chat(
    slot: Slot,
    body: dict[str, Any],
    top: int = 0,
    *,
    watched: bool = False,
    stops: Sequence[str] = (),
    tally: Tally | None = None,
) -> AsyncGenerator[Piece | Finish, None]:
    """Relay `/v1/chat/completions`: messages in, text, thinking and tool calls out.

    `watched`: a model that got stuck is stopped, as in `completion`. `stops`: looked for here, in what is neither
    thinking nor a call, so that the end can name the one that was met.
    """
    allowance = tally or Tally(slot, aloud=bool(stops))
    stopper = Stopper(stops) if stops else None
    stuck = _Stuck() if watched else None
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
            full = allowance.spent(chunk.timings)
            for choice in chunk.choices:
                delta = choice.delta
                if delta.tool_calls:
                    calls.add(delta.tool_calls)
                if stuck and delta.content and stuck.hears(delta.content):
                    yield allowance.stuck(stuck.pieces - 1)
                    return
                text = delta.content or ""
                if stopper and text:
                    text = stopper.feed(text)
                if text or delta.reasoning_content or choice.logprobs:
                    probabilities = choice.logprobs.content if choice.logprobs else None
                    yield Piece(
                        text,
                        delta.reasoning_content or "",
                        logprobs=_logprobs(probabilities, top),
                    )
                if stopper and stopper.found:
                    yield Finish("stop", allowance.timings, allowance.prompt_tokens, stopper.found)
                    return
                if choice.finish_reason:
                    reason = "length" if choice.finish_reason == "length" else "stop"
            if chunk.timings and reason:
                if stopper and (rest := stopper.finish()):
                    yield Piece(rest)
                if found := calls.whole():
                    yield Piece(tool_calls=found)
                yield Finish(reason, chunk.timings, allowance.prompt_tokens)
                return
            if reason is None and full:
                if stopper and (rest := stopper.finish()):
                    yield Piece(rest)
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


class Tally:
    """What a request has cost so far. It also holds the request to the context it was granted, which can be less than
    the slot's. For either the engine has to count aloud: not every record is a token, and not every token makes a
    record."""

    def __init__(self, slot: Slot, *, aloud: bool = False) -> None:
        self._run = slot.run
        self._context = slot.context
        self._held = slot.context < slot.runner_context
        self._begun = self._prompted = time.monotonic()
        self._cached = 0
        self.timings = NO_TIMINGS
        self.prompt_tokens = 0
        self.aloud = aloud or self._held
        self.asked = {"timings_per_token": True} if self.aloud else {}

    def prompt(self, progress: Progress) -> None:
        """Take in the prompt's length. Raises ContextExceeded before the first token is generated."""
        self.prompt_tokens = progress.total
        self._run.prompt(progress.total, progress.cache, progress.processed)
        self._cached = progress.cache
        self._prompted = time.monotonic()
        if self._held and progress.total >= self._context:
            raise ContextExceeded(progress.total, self._context)

    def spent(self, timings: Timings | None) -> bool:
        """Whether there is no room for another token."""
        self._run.tokens += 1
        if timings is None or not self.aloud:
            return False
        self.timings = timings
        return self._held and self.prompt_tokens + timings.predicted_n >= self._context

    def finish(self) -> Finish:
        """The end that we make: the engine says nothing more to who hangs up."""
        return Finish("length", self.timings, self.prompt_tokens)

    def stuck(self, tokens: int, reason: Literal["stop", "length"] = "stop") -> Finish:
        """The end that we make after so many tokens; the times are by our own clock."""
        timings = self.timings
        if timings is NO_TIMINGS:
            timings = Timings(
                cache_n=self._cached,
                prompt_n=self.prompt_tokens - self._cached,
                prompt_ms=(self._prompted - self._begun) * 1000,
                predicted_n=tokens,
                predicted_ms=(time.monotonic() - self._prompted) * 1000,
            )
        return Finish(reason, timings, self.prompt_tokens)


class _Stuck:
    """Counts the same piece in a row; blanks round it don't matter."""

    def __init__(self, most: int = MOST_REPEATS) -> None:
        self._most = most
        self._last = ""
        self._times = 0
        self.pieces = 0

    def hears(self, text: str) -> bool:
        """Whether this piece is one too many."""
        self.pieces += 1
        text = text.strip()
        if text != self._last:
            self._last = text
            self._times = 1
            return False
        self._times += 1
        return self._times >= self._most


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
            ident = self._ids.get(index) or call_id()
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
