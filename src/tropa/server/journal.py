"""Every exchange from its first byte to its last: given an id, timed, and told to whoever keeps count or a log."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tropa.runners.account import Account, opened
from tropa.server.dialect import request_id

ID_HEADER = b"x-request-id"
CLIENT_GONE = 499  # said of requests whose client left before there was a status; never sent
_SANE = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_STATE = "exchange"


@dataclass(slots=True)
class Exchange:
    """One request and its answer. Times are nanoseconds of the monotonic clock; `first` is 0 without a body."""

    id: str
    method: str
    path: str
    client: str
    began: int
    account: Account = field(default_factory=Account)
    route: str = ""
    """The path as the table of routes has it; empty for a path that is not in it."""
    status: int = CLIENT_GONE
    first: int = 0
    """When the first piece of the answer's body was sent."""
    streamed: bool = False
    whole: bool = False
    """Whether the answer got to its end."""
    ended: int = 0


Observer = Callable[[Exchange], None]


class Journal:
    """The outermost wrapper. An observer is told of each exchange that has ended."""

    def __init__(self, app: ASGIApp, observers: Sequence[Observer]) -> None:
        self._app = app
        self._observers = observers
        self.open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        asked = Headers(scope=scope).get("x-request-id", "")
        if _SANE.fullmatch(asked):
            state["request_id"] = asked
        client = scope.get("client")
        exchange = Exchange(
            id=request_id(scope),
            method=scope["method"],
            path=scope["path"],
            client=client[0] if client else "",
            began=time.monotonic_ns(),
            account=opened(),
        )
        state[_STATE] = exchange

        async def noted(message: Message) -> None:  # once per token: no more than these few words
            if message["type"] == "http.response.body":
                if not exchange.first:
                    exchange.first = time.monotonic_ns()
                    exchange.streamed = message.get("more_body", False)
                if not message.get("more_body", False):
                    exchange.whole = True
            else:
                exchange.status = message["status"]
                headers = message.get("headers", [])
                if all(name != ID_HEADER for name, _ in headers):
                    message = {**message, "headers": [*headers, (ID_HEADER, exchange.id.encode())]}
            await send(message)

        self.open += 1
        try:
            await self._app(scope, receive, noted)
        finally:
            self.open -= 1
            exchange.ended = time.monotonic_ns()
            for observer in self._observers:
                observer(exchange)


def found(scope: Scope, route: str) -> None:
    """The route of this request is known now."""
    exchange = scope.get("state", {}).get(_STATE)
    if isinstance(exchange, Exchange):
        exchange.route = route
