"""What the dialects have in common: a handler's errors are answered in the dialect's own envelope."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.types import Message, Receive, Scope, Send

from tropa.errors import TropaError
from tropa.runners.errors import RunnerDied
from tropa.runners.herd import Refused
from tropa.scheduler.actions import Refusal
from tropa.server.errors import status_of, text_of
from tropa.server.respond import ClientGone, send_bytes
from tropa.server.sse import Header
from tropa.service.errors import BadFormat, BadOption
from tropa.service.events import Event, Rendered

log = logging.getLogger("tropa.server")

T = TypeVar("T")
INTERNAL = "internal error, check tropa server logs for details"

Handler = Callable[..., Awaitable[None]]
Endpoint = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Dialect:
    """`envelope` makes a body of a status, a message, the error itself and the request's id; `id_header` is where
    clients look for that id."""

    envelope: Callable[[int, str, Exception, str], bytes]
    id_header: bytes


def request_id(scope: Scope) -> str:
    """The id of this request, the same however often it is asked for."""
    state: dict[str, Any] = scope.setdefault("state", {})
    ident: str = state.setdefault("request_id", f"req_{secrets.token_hex(12)}")
    return ident


def status_for(error: Exception) -> int:
    """As everywhere, but what these clients take for a failing server, and so ask again, is told from their own
    mistakes."""
    if not isinstance(error, TropaError):
        return 500
    if isinstance(error, BadOption | BadFormat):
        return 400
    status = status_of(error)
    return 400 if status == 501 else status


def text_for(error: Exception, *, begun: bool = False) -> str:
    """What the client reads."""
    return text_of(error, begun=begun) if isinstance(error, TropaError) else INTERNAL


def headers_for(error: Exception) -> list[Header]:
    """When asking again soon is what to do, say so: the clients obey."""
    again = isinstance(error, RunnerDied) or (
        isinstance(error, Refused) and error.refusal in (Refusal.QUEUE_FULL, Refusal.SHUTDOWN)
    )
    return [(b"retry-after", b"1")] if again else []


def truncated(event: Event) -> list[Header]:
    """Of the first event of an answer, or the last: what was left out of the prompt, told before any token."""
    dropped = None if isinstance(event, Rendered) else event.dropped
    if dropped is None:
        return []
    return [(b"tropa-truncated", f"messages={dropped.messages}, tokens={dropped.tokens}".encode())]


async def peeked(events: AsyncGenerator[T, None]) -> tuple[T, AsyncGenerator[T, None]]:
    """The first event, and all of them. Raises what kept the first from coming: nothing has been sent then.
    Whoever made `events` closes them."""
    first = await anext(events)

    async def every() -> AsyncGenerator[T, None]:
        yield first
        async for event in events:
            yield event

    return first, every()


async def answer(
    handler: Handler, dialect: Dialect, subject: Any, scope: Scope, receive: Receive, send: Send
) -> None:
    """Call `handler(subject, scope, receive, send)`; what it raises before its first byte is sent in the dialect's
    envelope. Every answer carries the request's id."""
    begun = False

    async def watched(message: Message) -> None:
        nonlocal begun
        begun = True
        if message["type"] == "http.response.start":
            ident = (dialect.id_header, request_id(scope).encode())
            message = {**message, "headers": [*message["headers"], ident]}
        await send(message)

    try:
        await handler(subject, scope, receive, watched)
    except TropaError as exc:
        if begun:
            raise
        log.debug("%s %s: %s (%s)", scope["method"], scope["path"], exc, exc.code)
        await _send_error(watched, dialect, exc, scope)
    except ClientGone:
        raise
    except Exception as exc:
        if begun:
            raise
        log.exception("%s %s failed: this is a bug", scope["method"], scope["path"])
        await _send_error(watched, dialect, exc, scope)


async def refuse(send: Send, dialect: Dialect, error: TropaError, scope: Scope, *more: Header) -> None:
    """Answer with an error, and `more` headers, where no handler of the dialect was asked."""
    status = status_for(error)
    ident = request_id(scope)
    body = dialect.envelope(status, text_for(error), error, ident)
    await send_bytes(send, body, status, b"application/json", (dialect.id_header, ident.encode()), *more)


async def _send_error(send: Send, dialect: Dialect, error: Exception, scope: Scope) -> None:
    status = status_for(error)
    body = dialect.envelope(status, text_for(error), error, request_id(scope))
    await send_bytes(send, body, status, b"application/json", *headers_for(error))
