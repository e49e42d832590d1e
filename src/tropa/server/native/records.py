"""Events of the service as records of the native API. Key order and which zeros are left out are the reference's."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from tropa.runners.account import Account, current
from tropa.server.clock import now_utc
from tropa.service.events import Dropped, End, Event, Piece, Rendered

_encode = msgspec.json.encode


class Message(Struct, omit_defaults=True):
    """`content` is there even when it is empty."""

    role: str
    content: str
    thinking: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()


class Explanation(Struct):
    """Where a request's time went. Unlike `load_duration`, which is both, waiting for others and for the own model's
    load are told apart. `runner` counts the server's runners since its start; None: no runner was needed."""

    queue_ns: int
    load_ns: int
    prompt_ns: int
    cached_tokens: int
    generation_ns: int
    runner: int | None


class ChatRecord(Struct, omit_defaults=True):
    model: str
    created_at: str
    message: Message
    done: bool
    done_reason: str = ""
    debug_info: dict[str, Any] | None = field(default=None, name="_debug_info")
    logprobs: tuple[dict[str, Any], ...] = ()
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    truncated: Dropped | None = None
    explain: Explanation | None = None


class GenerateRecord(Struct, omit_defaults=True, kw_only=True):
    model: str
    created_at: str
    response: str
    thinking: str = ""
    done: bool
    done_reason: str = ""
    context: tuple[int, ...] | None = None
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    truncated: Dropped | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    debug_info: dict[str, Any] | None = field(default=None, name="_debug_info")
    logprobs: tuple[dict[str, Any], ...] = ()
    explain: Explanation | None = None


def chat(model: str, event: Event, explain: bool = False) -> bytes:
    """One record of a chat, without its newline. `model` is echoed as the client wrote it. With `explain`, the last
    one says where the time went."""
    match event:
        case Piece(text=text, thinking=thinking, tool_calls=calls, logprobs=logprobs):
            message = Message("assistant", text, thinking, calls)
            return _encode(ChatRecord(model, now_utc(), message, False, logprobs=logprobs))
        case End():
            record = ChatRecord(
                model, now_utc(), Message("assistant", ""), True, event.reason, **metrics(event, explain)
            )
            return _encode(record)
        case Rendered():
            message = Message("", "")
            return _encode(ChatRecord(model, now_utc(), message, False, debug_info=debug_info(event)))


def generate(model: str, event: Event, explain: bool = False) -> bytes:
    """One record of a generate, without its newline."""
    match event:
        case Piece():
            record = GenerateRecord(
                model=model,
                created_at=now_utc(),
                response=event.text,
                thinking=event.thinking,
                done=False,
                tool_calls=event.tool_calls,
                logprobs=event.logprobs,
            )
        case End():
            record = GenerateRecord(
                model=model,
                created_at=now_utc(),
                response="",
                done=True,
                done_reason=event.reason,
                context=event.context,
                **metrics(event, explain),
            )
        case Rendered():
            record = GenerateRecord(
                model=model, created_at=now_utc(), response="", done=False, debug_info=debug_info(event)
            )
    return _encode(record)


def metrics(end: End, explain: bool) -> dict[str, Any]:
    """The six numbers of a final record, and ours: what the prompt had before anything was dropped, what of it the
    cache held, and what was dropped; with `explain` the explanation."""
    counts = end.counts
    return {
        "total_duration": counts.total_ns,
        "load_duration": counts.load_ns,
        "prompt_eval_count": counts.prompt_tokens,
        "prompt_eval_duration": counts.prompt_ns,
        "eval_count": counts.tokens,
        "eval_duration": counts.generation_ns,
        "prompt_tokens": counts.prompt_tokens + (end.dropped.tokens if end.dropped else 0),
        "cached_tokens": counts.cached_tokens,
        "truncated": end.dropped,
        "explain": explanation(current()) if explain else None,
    }


def explanation(account: Account) -> Explanation:
    """An account that is complete, as clients read it."""
    return Explanation(
        account.queue_ns,
        account.load_ns,
        account.prompt_ns,
        account.cached_tokens,
        account.generation_ns,
        account.runner,
    )


def debug_info(event: Rendered) -> dict[str, Any]:
    info: dict[str, Any] = {"rendered_template": event.prompt}
    if event.images:
        info["image_count"] = event.images
    return info


def dropped(event: Event) -> Dropped | None:
    """What the first event of an answer says was left out of the prompt."""
    return event.dropped if isinstance(event, Piece | End) else None


class Collected:
    """All events of one answer, for a client that wants a single object."""

    def __init__(self, explain: bool = False) -> None:
        self._explain = explain
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._logprobs: list[dict[str, Any]] = []
        self._last: Event = Piece()

    def add(self, event: Event) -> None:
        """Events in their order."""
        self._last = event
        if isinstance(event, Piece):
            self._text.append(event.text)
            self._thinking.append(event.thinking)
            self._calls.extend(event.tool_calls)
            self._logprobs.extend(event.logprobs)

    @property
    def dropped(self) -> Dropped | None:
        """What was left out of the prompt."""
        return dropped(self._last)

    def chat(self, model: str) -> bytes:
        """The object of a chat."""
        if not isinstance(self._last, End):
            return chat(model, self._last)
        message = Message("assistant", "".join(self._text), "".join(self._thinking), tuple(self._calls))
        record = ChatRecord(
            model,
            now_utc(),
            message,
            True,
            self._last.reason,
            logprobs=tuple(self._logprobs),
            **metrics(self._last, self._explain),
        )
        return _encode(record)

    def generate(self, model: str) -> bytes:
        """The object of a generate."""
        if not isinstance(self._last, End):
            return generate(model, self._last)
        record = GenerateRecord(
            model=model,
            created_at=now_utc(),
            response="".join(self._text),
            thinking="".join(self._thinking),
            done=True,
            done_reason=self._last.reason,
            context=self._last.context,
            tool_calls=tuple(self._calls),
            logprobs=tuple(self._logprobs),
            **metrics(self._last, self._explain),
        )
        return _encode(record)
