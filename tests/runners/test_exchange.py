"""Answers of an engine, cut anywhere."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropa.engines.launch import Address
from tropa.runners.exchange import BUFFER_LIMIT, ConnectionBroken, Exchange, Lines, connect, request
from tropa.runners.runner import refusal

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"b\r\ndata: {}\n\n\xc3\r\n3\r\n\xa4\n\n\r\n0\r\n\r\n"
)
WITH_LENGTH = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwrong"


class Wire(asyncio.Transport):
    """The other end of a connection, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.aborted = False
        self.reading = True

    def write(self, data: Any) -> None:
        self.sent += data

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def resumed(wire: Wire) -> bool:
    return wire.reading


def connected() -> tuple[Exchange, Wire]:
    exchange, wire = Exchange(b"request"), Wire()
    exchange.connection_made(wire)
    return exchange, wire


async def received(*pieces: bytes) -> tuple[int, bytes]:
    exchange, _ = connected()
    for piece in pieces:
        exchange.data_received(piece)
    return await exchange.status(), b"".join([chunk async for chunk in exchange.body()])


@pytest.mark.parametrize(
    ("answer", "status"), [(CHUNKED, 200), (WITH_LENGTH, 400)], ids=["chunked", "length"]
)
async def test_an_answer_is_the_same_wherever_it_is_cut(answer: bytes, status: int) -> None:
    whole = await received(answer)
    assert whole[0] == status
    for cut in range(len(answer) + 1):
        assert await received(answer[:cut], answer[cut:]) == whole
    assert await received(*(bytes([byte]) for byte in answer)) == whole


async def test_a_waiting_reader_gets_each_piece_as_it_comes() -> None:
    exchange, wire = connected()
    chunks: list[bytes] = []

    async def read() -> int:
        status = await exchange.status()
        async for chunk in exchange.body():
            chunks.append(chunk)  # noqa: PERF401 - one by one is what is tested
        return status

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    assert wire.sent == b"request"
    for byte in CHUNKED:
        exchange.data_received(bytes([byte]))
        await asyncio.sleep(0)
    assert await reading == 200
    assert b"".join(chunks) == "data: {}\n\nä\n\n".encode()
    assert len(chunks) > 3


@pytest.mark.parametrize("cut", range(len(CHUNKED)))
async def test_an_answer_cut_short_is_an_error_and_no_short_answer(cut: int) -> None:
    exchange, _ = connected()
    exchange.data_received(CHUNKED[:cut])
    exchange.connection_lost(None)

    async def read() -> None:
        await exchange.status()
        _ = [chunk async for chunk in exchange.body()]

    with pytest.raises(ConnectionBroken):
        await read()


async def test_what_arrived_before_the_end_is_still_read() -> None:
    exchange, _ = connected()
    exchange.data_received(CHUNKED)
    exchange.connection_lost(ConnectionResetError())
    assert await exchange.status() == 200
    assert b"".join([chunk async for chunk in exchange.body()]) == "data: {}\n\nä\n\n".encode()


async def test_what_is_no_http_ends_the_connection() -> None:
    exchange, wire = connected()
    exchange.data_received(b"\x16\x03\x01 this is something else\r\n\r\n")
    assert wire.aborted
    exchange.connection_lost(None)
    with pytest.raises(ConnectionBroken):
        await exchange.status()


async def test_a_slow_reader_stops_the_engine_and_not_the_memory() -> None:
    exchange, wire = connected()
    piece = b"x" * (64 << 10)
    exchange.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * 100))
    sent = 0
    while wire.reading:
        exchange.data_received(piece)
        sent += 1
    assert BUFFER_LIMIT < sent * len(piece) <= BUFFER_LIMIT + 2 * len(piece)
    assert await anext(aiter(exchange.body())) == piece
    body = exchange.body()
    for _ in range(sent - 1):
        await anext(body)
    waiting = asyncio.ensure_future(anext(body))
    await asyncio.sleep(0)
    assert resumed(wire)
    exchange.data_received(b"more")
    assert await waiting == b"more"


async def test_it_knows_since_when_somebody_waits() -> None:
    exchange, _ = connected()
    seen = [exchange.waiting_since]
    reading = asyncio.create_task(exchange.status())
    await asyncio.sleep(0)
    seen.append(exchange.waiting_since)
    exchange.data_received(CHUNKED)
    await reading
    seen.append(exchange.waiting_since)
    assert [since is not None for since in seen] == [False, True, False]


async def test_nobody_there_is_an_error_that_names_the_address(place: Any) -> None:
    with pytest.raises(ConnectionBroken, match=r"nobody\.sock"):
        await connect(Address(socket=place / "nobody.sock"), request(Address(port=1), "GET", "/"))


async def test_a_request_is_sent_whole_with_its_key(place: Any) -> None:
    got = bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.readuntil(b"\r\n\r\n"))
        got.extend(await reader.readexactly(len('{"text":"ä"}'.encode())))
        writer.write(WITH_LENGTH)
        writer.close()

    server = await asyncio.start_unix_server(serve, place / "s.sock")
    async with server:
        address = Address(socket=place / "s.sock", api_key="secret")
        exchange = await connect(address, request(address, "POST", "/completion", {"text": "ä"}))
        assert await exchange.status() == 400
        exchange.abort()
    head, _, body = bytes(got).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /completion HTTP/1.1\r\n")
    assert b"Authorization: Bearer secret" in head
    assert b"Connection: close" in head
    assert json.loads(body) == {"text": "ä"}


# Lines.

TEXT = 'eins\n\u2028zwei\u0085\n\r\n{"a": "\\n"}\nTräger\n'.encode()


def test_lines_are_the_same_wherever_they_are_cut() -> None:
    whole = Lines().feed(TEXT)
    assert whole == TEXT.split(b"\n")[:-1]
    for cut in range(len(TEXT) + 1):
        lines = Lines()
        assert lines.feed(TEXT[:cut]) + lines.feed(TEXT[cut:]) == whole


@given(st.lists(st.binary(max_size=12), max_size=12))
def test_lines_lose_no_byte(chunks: list[bytes]) -> None:
    lines = Lines()
    found = [line for chunk in chunks for line in lines.feed(chunk)]
    assert b"\n".join(found) == b"".join(chunks).rpartition(b"\n")[0] if found else True
    assert len(found) == b"".join(chunks).count(b"\n")


def test_a_line_has_a_limit() -> None:
    lines = Lines(limit=10)
    lines.feed(b"0123456789")
    with pytest.raises(ConnectionBroken, match="more than 10 bytes"):
        lines.feed(b"x")


# Refusals.


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"error":{"code":400,"message":"no such thing","type":"invalid_request_error"}}', "no such thing"),
        (b"plain words", "plain words"),
        (b"", "HTTP status 418"),
        (b"[1]", "[1]"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 5000, "x" * 1000),
    ],
)
def test_a_refusal_says_what_the_engine_said(content: bytes, words: str) -> None:
    assert str(refusal(418, content)) == words


def test_an_engine_that_takes_no_more_bytes_says_nothing_so_we_do() -> None:
    assert str(refusal(413, b"")).startswith("the engine takes no request of more than 100 MiB")
