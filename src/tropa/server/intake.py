"""What a client may send: how much, and how slowly. Who dawdles, or sends without end, holds nothing here."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Message, Receive
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tropa.errors import TropaError

MOST_HEAD = 64 << 10  # bytes of a request's first line and headers; noticed at the latest one read beyond it
MOST_BODY = 256 << 20  # bytes of a body; a file that is uploaded may have any number

DEAF = 5  # times the patience: a client that takes nothing of its answer for so long has lost interest

_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class TooSlow(TropaError):
    """The next piece of the body did not come in time."""

    code = "too-slow"


class TooLarge(TropaError):
    """The body is larger than any that is taken."""

    code = "too-large"


class Intake:
    """`receive`, held to a size and a pause. Once the body is whole it is `receive` and nothing else."""

    def __init__(self, receive: Receive, limit: int | None, patience: float | None) -> None:
        self._receive = receive
        self._limit = limit
        self._patience = patience
        self._size = 0
        self._whole = False
        self.failed = False
        """The rest of the body won't be read: the connection is good for nothing more."""

    async def __call__(self) -> Message:
        if self._whole:
            return await self._receive()
        try:
            async with asyncio.timeout(self._patience):
                message = await self._receive()
        except TimeoutError:
            self.failed = True
            raise TooSlow(f"the request body stopped coming for {self._patience:g} seconds") from None
        self._size += len(message.get("body", b""))
        if self._limit is not None and self._size > self._limit:
            self.failed = True
            raise TooLarge(f"the request body is larger than {self._limit >> 20} MiB")
        self._whole = not message.get("more_body", False)
        return message


class Connection(HttpToolsProtocol):
    """One client's connection. It has `patience` seconds for the head of each request, and DEAF times that to take
    something of its answer once all buffers are full; None: for ever."""

    patience: float | None = None

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._full: asyncio.TimerHandle | None = None
        self._head = 0
        self._in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._drained()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.patience is not None:
            self._full = self.loop.call_later(self.patience * DEAF, self.transport.abort)

    def resume_writing(self) -> None:
        self._drained()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head += len(data)
        super().data_received(data)
        if self._in_head and self._head > MOST_HEAD and not self.transport.is_closing():
            self._refuse(_TOO_LONG)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._arm()

    def on_headers_complete(self) -> None:
        self._disarm()
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._head = 0

    def _arm(self) -> None:
        self._disarm()
        if self.patience is not None:
            self._deadline = self.loop.call_later(self.patience, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _drained(self) -> None:
        if self._full is not None:
            self._full.cancel()
            self._full = None

    def _late(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._arm()  # the answer to an earlier request is under way: not into the middle of that
        elif not self.transport.is_closing():
            self._refuse(_TOO_SLOW)

    def _refuse(self, answer: bytes) -> None:
        self._disarm()
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(answer)
        self.transport.close()


def connection(patience: float | None) -> type[Connection]:
    """The class of connections with this much patience."""
    return type("Connection", (Connection,), {"patience": patience})
