"""One client's connection: its requests in their order, one at a time, and an end for whoever dawdles.

uvicorn's protocol parses all that comes, however much, and of several requests under way tells only the last that its
client has left. Here the parser gets one request at a time: what a client sends while it is being answered waits,
up to a limit. So every answer hears of the leaving, and nothing that comes later can disturb the answer under way.
"""

from __future__ import annotations

import asyncio
import logging
import re
import urllib.parse
from functools import partial
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGIReceiveEvent, ASGISendEvent

log = logging.getLogger("tropa.server")

MOST_HEAD = 64 << 10  # bytes of a request's first line and headers
MOST_LATER = 256 << 10  # bytes that a client may send ahead of the answer that it has not had yet
DEAF = 5  # times the patience: a client that takes nothing of its answer for so long has lost interest
LINGER = 30  # seconds for which the rest of an unwanted body is taken and thrown away

_END = re.compile(rb"\n\r?\n")
_UPGRADE = re.compile(rb"^upgrade[ \t]*:", re.IGNORECASE | re.MULTILINE)
_BARE = 1 << 62  # more than any body has


def _only(status: str, text: str) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: text/plain\r\ncontent-length: {len(text)}\r\nconnection: close\r\n\r\n"
    return (head + text).encode("ascii")


_TOO_SLOW = _only("408 Request Timeout", "the head of the request did not come in time")
_TOO_LONG = _only("431 Request Header Fields Too Large", f"a head may have {MOST_HEAD >> 10} KiB")
_FULL = _only("503 Service Unavailable", "too many connections")


class Turn(RequestResponseCycle):
    """One request and its answer."""

    left = False
    """The client will send no more, so it has gone or is about to: who waits for that is told, who answers may."""
    lingers = False
    """The answer came before the body was whole: it is the last on its connection."""
    _bare = False
    _given = False

    async def receive(self) -> ASGIReceiveEvent:
        if self.left and self._given:
            self.disconnected = True
        message = await super().receive()
        if message["type"] == "http.request":
            if self._given:  # nobody would wake it for anything else
                self.disconnected = True
                return {"type": "http.disconnect"}
            self._given = not message["more_body"]
        return message

    async def send(self, message: ASGISendEvent) -> None:
        if self.response_started:  # once per token
            if self._bare and message["type"] == "http.response.body" and not message.get("more_body"):
                self.expected_content_length = len(message.get("body", b""))
            await super().send(message)
        elif message["type"] == "http.response.start":
            await self._begin([*message.get("headers", [])], message["status"])

    async def _begin(self, headers: list[tuple[bytes, bytes]], status: int) -> None:
        if self.more_body:
            self.lingers = True
            headers.append((b"connection", b"close"))
        # Before HTTP/1.1 there were no chunks: such an answer ends with its connection.
        sized = any(name == b"content-length" for name, _ in headers)
        self._bare = self.scope["http_version"] == "1.0" and not sized
        self.chunked_encoding = True if self._bare else None
        await super().send({"type": "http.response.start", "status": status, "headers": headers})
        if self._bare:
            self.chunked_encoding, self.expected_content_length = False, _BARE
        if self.lingers:
            self.keep_alive = True  # closed at once, what was not read would destroy the answer

    def hang_up(self) -> None:
        """There is nobody to answer."""
        self.disconnected = True
        self.message_event.set()


class Connection(HttpToolsProtocol):
    """It has `patience` seconds for the head of each request, and DEAF times that to take something of its answer once
    all buffers are full; None: for ever. Of more than `most` connections the one longest without a request goes."""

    patience: float | None = None
    most: int | None = None
    idle: dict[Connection, None]
    """Of all connections those that nothing is lost with: no request is under way on them. Longest first."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._turn: Turn | None = None
        self._head = b""
        self._later = bytearray()
        self._in_head = True
        self._rest: int | None = 0  # bytes that the body still has; None: nobody knows, it comes in chunks
        self._framing = 0  # bytes of a body in chunks that were no body
        self._parting = False
        self._overrun = False  # it sent too much ahead of its answers: this one is the last
        self._eof = False
        self._deadline: asyncio.TimerHandle | None = None  # for a head
        self._full: asyncio.TimerHandle | None = None  # for a client to take something
        self._last: asyncio.TimerHandle | None = None  # for the connection's end

    # What the transport tells.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._arm()
        if self.most is not None and len(self.connections) > self.most:
            if not self.idle:
                transport.write(_FULL)
                transport.close()
                return
            oldest = next(iter(self.idle))
            del self.idle[oldest]
            oldest.transport.abort()
        self.idle[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.idle.pop(self, None)
        for timer in (self._deadline, self._full, self._last):
            if timer is not None:
                timer.cancel()
        self.pipeline.clear()
        if self._turn is not None and not self._turn.response_complete:
            self._turn.hang_up()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override] # uvicorn's always closes
        """Whether the connection stays open for what we have to say."""
        turn = self._turn
        if self._parting or turn is None or turn.response_complete:
            return False
        self._eof = turn.left = True
        if turn.more_body:
            turn.disconnected = True
        turn.message_event.set()
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.patience is not None:
            self._full = self.loop.call_later(self.patience * DEAF, self._abort)

    def resume_writing(self) -> None:
        if self._full is not None:
            self._full.cancel()
            self._full = None
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._parting or self._overrun:
            return
        if not self._answering:
            self._take(data)
            return
        self._later += data
        if len(self._later) > MOST_LATER:
            self._overrun = True
            self._later.clear()

    # What the parser gets, and tells.

    @property
    def _answering(self) -> bool:
        """Whether there is a whole request that has not had its whole answer."""
        turn = self._turn
        return turn is not None and not turn.more_body and not turn.response_complete

    def _take(self, data: bytes) -> None:
        """Give the parser what it can have: up to the end of one request."""
        while data and not (self._parting or self.transport.is_closing()):
            if self._answering:
                self._later += data
                return
            if self._in_head:
                data = self._take_head(data)
            elif self._rest is None:
                self._framing += len(data)
                self._feed(data)
                data = b""
                if self._framing > MOST_HEAD and not self._in_head:
                    self._refuse(_TOO_LONG)
            else:
                piece, data = data[: self._rest], data[self._rest :]
                self._rest -= len(piece)
                self._feed(piece)

    def _take_head(self, data: bytes) -> bytes:
        """Lines up to an empty one go to the parser in one piece; what follows them is returned."""
        seen = max(0, len(self._head) - 2)
        if self._head:
            data = self._head + data
        end = _END.search(data, seen)
        if (end.end() if end else len(data)) > MOST_HEAD:
            self._refuse(_TOO_LONG)
            return b""
        if end is None:
            if not data[:1].isupper() and data[0] not in b"\r\n":
                self._feed(data)  # no method begins like this: it is refused at once
            elif not self._head:
                self._arm()
            self._head = data
            return b""
        head, self._head = data[: end.end()], b""
        if b"\nupgrade" in head.lower():
            # There is no other protocol here to go over to. The parser would, and take no body for one, which is how
            # Java's clients send their first request.
            head = _UPGRADE.sub(rb"x-\g<0>", head)
        self._feed(head)
        return data[end.end() :]

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as exc:
            why = str(exc) if isinstance(exc, httptools.HttpParserError) else "there is nothing to connect to"
            log.debug("%s: bad request: %s", self.client[0] if self.client else "a client", why)
            text = f"the request can't be read: {why}"
            self._refuse(_only("400 Bad Request", text.encode("ascii", "replace").decode()))

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # what comes after a body is no header of its request any more
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._disarm()
        self._in_head = False
        self.idle.pop(self, None)
        self._framing = 0
        headers = dict(self.headers)
        self._rest = None if b"transfer-encoding" in headers else int(headers.get(b"content-length", b"0"))
        version = self.parser.get_http_version()
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope |= {
            "method": self.parser.get_method().decode("ascii"),
            "http_version": version,
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
        }
        self.cycle = turn = Turn(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if self._turn is None or self._turn.response_complete:
            self._start_asgi_task(turn, self.app)
        else:  # it came right behind a body in chunks, whose end only the parser knows
            self.pipeline.appendleft((turn, self.app))

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        assert isinstance(cycle, Turn)
        self._turn = cycle
        cycle.left = self._eof
        task = self.loop.create_task(cycle.run_asgi(app))
        self.tasks.add(task)
        task.add_done_callback(partial(self._ended, cycle))

    def on_body(self, body: bytes) -> None:
        self._framing -= min(len(body) * 8, self._framing)  # a chunk of one byte is six
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True

    # The end of an answer, and of the connection.

    def _ended(self, turn: Turn, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if turn.left and not turn.response_complete:
            self.transport.close()

    def on_response_complete(self) -> None:
        turn = self._turn
        if self.transport.is_closing():
            self._abort_later()
        elif (turn is not None and turn.lingers) or self._overrun:
            self._linger()
            return
        super().on_response_complete()
        if self._answering or self.transport.is_closing():
            return
        self.idle[self] = None
        if self._later:
            later, self._later = bytes(self._later), bytearray()
            self._unset_keepalive_if_required()
            self._take(later)
        if self._eof and not self._answering:
            self.transport.close()

    def shutdown(self) -> None:
        """The server stops: it does not wait for who goes on sending what nobody wants."""
        if self._parting:
            self.transport.abort()
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._abort_later()

    def _linger(self) -> None:
        """Close, but only once the client has: else what it goes on sending would destroy what it has not read."""
        self._parting = True
        self.idle[self] = None
        self._head = b""
        self._later.clear()
        self.flow.resume_reading()
        self.transport.write_eof()
        self._last = self.loop.call_later(min(self.patience or LINGER, LINGER), self._abort)

    def _abort_later(self) -> None:
        """A transport that is closed waits for its last bytes to be taken, however long that lasts."""
        if self.patience is not None and self._last is None:
            self._last = self.loop.call_later(self.patience * DEAF, self._abort)

    def _abort(self) -> None:
        if self._turn is not None:
            self._turn.hang_up()
        self.transport.abort()

    def _arm(self) -> None:
        self._disarm()
        if self.patience is not None:
            self._deadline = self.loop.call_later(self.patience, self._refuse, _TOO_SLOW)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, answer: bytes) -> None:
        """The connection is good for nothing more. Nothing is being answered on it but a request whose body broke."""
        self._disarm()
        if self._parting or self.transport.is_closing():
            return
        turn = self._turn
        if turn is None or turn.response_complete or not turn.response_started:
            self.transport.write(answer)
        if turn is not None and not turn.response_complete:
            turn.hang_up()
        self._linger()


def connection(patience: float | None, most: int | None = None) -> type[Connection]:
    """The class of connections with this much patience, of which there are at most so many."""
    return type("Connection", (Connection,), {"patience": patience, "most": most, "idle": {}})
