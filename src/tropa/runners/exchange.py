"""One HTTP request to an engine and its answer.

A streamed answer has a connection of its own: the engine closes it afterwards in a way that a pool takes for a lost
server on the next request, and closing it is also how a slot is freed, for the engine notices and stops generating.
Short questions share connections that are kept (see `Kept`). This is the token path: bytes go from the event loop
through the parser to the reader with one task switch, and nothing is decoded that nobody asked for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from typing import Any, cast

import httptools
import msgspec

from tropa.engines.launch import Address

LINE_LIMIT = (
    8 << 20
)  # bytes of one line of a stream; the engine's longest are final records with a prompt in them
KEPT = 2  # idle connections to an engine, each of which occupies one of its threads
BUFFER_LIMIT = 1 << 20  # bytes waiting for a slow reader before we stop reading from the engine


class ConnectionBroken(Exception):
    """The engine could not be reached, or closed the connection before its answer was whole."""


class CannotConnect(ConnectionBroken):
    """Nobody listens at the engine's address."""


class Exchange(asyncio.Protocol):
    """Sends one request when connected; then `status()` once, and `body()` until it ends; `again` if `reusable`."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._stays = False
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._status = 0
        self._whole = False
        self._closed = False
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self.waiting_since: float | None = None
        """Since when a reader waits for the engine's next byte, by the event loop's clock; None: nobody does."""

    # What the event loop and the parser call.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its bases
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.abort()
        if self._buffered > BUFFER_LIMIT and not self._paused and self._transport:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        self._whole = True
        self._stays = self._parser.should_keep_alive()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._wake()

    # What the reader calls.

    async def status(self) -> int:
        """The answer's status code. Raises ConnectionBroken."""
        while not self._status:
            await self._more()
        return self._status

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The answer's bytes as they arrive. Raises ConnectionBroken if they end too early."""
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._buffered -= len(chunk)
                yield chunk
            if self._whole:
                return
            if self._paused and self._transport and not self._closed:
                self._paused = False
                self._transport.resume_reading()
            await self._more()

    @property
    def reusable(self) -> bool:
        """Whether the answer was read to its end, and the engine would take another request."""
        return self._whole and self._stays and not self._closed and not self._chunks

    def again(self, request: bytes) -> None:
        """Send another request on a connection that is `reusable`."""
        assert self._transport
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._whole = self._stays = False
        self._transport.write(request)

    def abort(self) -> None:
        """Hang up at once. The engine frees the slot as soon as it notices."""
        if self._transport:
            self._transport.abort()

    async def _more(self) -> None:
        if self._closed:
            raise ConnectionBroken("the engine closed the connection")
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        self.waiting_since = loop.time()
        try:
            await self._waiter
        finally:
            self._waiter = self.waiting_since = None

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)


def request(address: Address, method: str, path: str, body: Any = None, *, keep: bool = False) -> bytes:
    """The bytes of a request; `body` is encoded as JSON. `keep`: another may follow on the same connection."""
    payload = b"" if body is None else msgspec.json.encode(body)
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: engine\r\nConnection: {'keep-alive' if keep else 'close'}\r\n"
        f"Content-Length: {len(payload)}\r\n"
    )
    if address.api_key:
        head += f"Authorization: Bearer {address.api_key}\r\n"
    return head.encode() + b"Content-Type: application/json\r\n\r\n" + payload


async def connect(address: Address, request: bytes) -> Exchange:
    """Open a connection and send one request. Raises ConnectionBroken, CannotConnect."""
    loop = asyncio.get_running_loop()
    try:
        if address.socket:
            _, exchange = await loop.create_unix_connection(lambda: Exchange(request), str(address.socket))
        else:
            _, exchange = await loop.create_connection(lambda: Exchange(request), "127.0.0.1", address.port)
    except (FileNotFoundError, ConnectionRefusedError) as exc:
        raise CannotConnect(f"nobody listens at the engine's address {address}") from exc
    except OSError as exc:
        raise ConnectionBroken(f"cannot connect to the engine at {address}: {exc.strerror or exc}") from exc
    return exchange


class Kept:
    """Connections to one engine between two short questions. An engine has a thread wait at each, and gives it up after
    five idle seconds; so there are few, and one that has gone costs nothing but a new one."""

    def __init__(self) -> None:
        self._idle: list[Exchange] = []

    def take(self) -> Exchange | None:
        """One that is free, the last used first."""
        while self._idle:
            exchange = self._idle.pop()
            if exchange.reusable:
                return exchange
        return None

    def put(self, exchange: Exchange) -> None:
        """After an answer: keep the connection if it can be kept, else close it."""
        if exchange.reusable and len(self._idle) < KEPT:
            self._idle.append(exchange)
        else:
            exchange.abort()

    def close(self) -> None:
        """All of them."""
        for exchange in self._idle:
            exchange.abort()
        self._idle.clear()


class Lines:
    """Bytes in, whole lines out. LF only: U+2028 and U+0085 are legal inside JSON text."""

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        self._limit = limit
        self._tail = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes. Raises ConnectionBroken for one longer than the limit."""
        *whole, self._tail = (self._tail + chunk).split(b"\n")
        if len(self._tail) > self._limit:
            raise ConnectionBroken(f"the engine sent a line of more than {self._limit} bytes")
        return whole
