"""Clients that dawdle, or send without end: told so, and let go."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import socket
import time
import weakref
from collections.abc import Iterator

import psutil
import pytest
from starlette.types import Message, Receive

from tests.support.places import short_folder
from tests.support.processes import patience, until
from tests.support.server import Server, serving
from tropa.server.intake import LARGE, MOST_BODY, PAUSE, Hold, Intake, TooLarge, TooMuch
from tropa.server.respond import while_connected

SECONDS = 0.5


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with short_folder() as folder, serving(folder, TROPA_CLIENT_TIMEOUT=str(SECONDS)) as server:
        yield server


def connected(server: Server) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=patience(20))


def everything(connection: socket.socket) -> bytes:
    """Until the server closes the connection."""
    found = b""
    while piece := connection.recv(1 << 16):
        found += piece
    return found


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-"])
def test_half_a_head_is_not_waited_for(server: Server, sent: bytes) -> None:
    with connected(server) as connection:
        began = time.monotonic()
        connection.sendall(sent)
        assert everything(connection).startswith(b"HTTP/1.1 408 ")
        assert time.monotonic() - began >= SECONDS * 0.9


def test_half_a_second_head_is_not_waited_for_either(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HT")
        answers = everything(connection)
    assert answers.startswith(b"HTTP/1.1 200 ")
    assert b"Ollama is runningHTTP/1.1 408 " in answers


def test_half_a_head_does_not_disturb_the_answer_before_it(server: Server) -> None:
    body = b'{"model": "tiny", "prompt": "Hi", "options": {"num_predict": 400, "temperature": 0}}'
    head = f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with connected(server) as connection:
        connection.sendall(head + body + b"GET / HT")
        answers = everything(connection)
    first, end, rest = answers.partition(b"\r\n0\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert b'"done":true' in first
    assert end
    assert rest.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    ("path", "envelope"),
    [
        ("/api/chat", b'{"error":"the request body stopped coming'),
        ("/v1/chat/completions", b'{"error":{"message":"the request body stopped coming'),
        ("/v1/messages", b'{"type":"error"'),
        (f"/api/blobs/sha256:{'0' * 64}", b'{"error":"the request body stopped coming'),
    ],
)
def test_half_a_body_is_not_waited_for(server: Server, path: str, envelope: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{{".encode()
        )
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer
    assert envelope in answer


def test_a_slow_body_that_keeps_coming_is_taken(server: Server) -> None:
    body = b'{"model":"tiny"}' + b" " * 1584
    with connected(server) as connection:
        head = (
            f"POST /api/show HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}"
        )
        connection.sendall(head.encode() + b"\r\n\r\n")
        for start in range(0, len(body), 100):
            time.sleep(SECONDS / 8)  # the slowness is the test
            connection.sendall(body[start : start + 100])
        assert everything(connection).startswith(b"HTTP/1.1 200 ")


def test_a_body_that_drips_is_not_waited_for(server: Server) -> None:
    """A byte now and then would hold the connection for years."""
    with connected(server) as connection:
        connection.sendall(b"POST /api/show HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        connection.settimeout(SECONDS / 8)
        answer = b""
        began = time.monotonic()
        while not answer:
            connection.sendall(b" ")
            with contextlib.suppress(TimeoutError):
                answer = connection.recv(1 << 16)
            assert time.monotonic() < began + patience(20)
        answer += everything(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"comes too slowly" in answer


def pieces(*sizes: int) -> Receive:
    """`receive` of a body that comes in pieces of these sizes, and does not end."""
    left = [*sizes]

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * left.pop(0), "more_body": True}

    return receive


async def test_a_body_beyond_all_measure_is_refused() -> None:
    taken = Intake(pieces(6, 6), 10, None)
    await taken()
    with pytest.raises(TooLarge):
        await taken()


async def test_a_body_that_is_declared_too_large_is_not_even_begun() -> None:
    with pytest.raises(TooLarge):
        await Intake(pieces(), 10, None, declared=11)()


async def test_all_bodies_together_have_a_limit_until_their_requests_have_ended() -> None:
    hold = Hold(10)
    first, second = Intake(pieces(4, 4), 8, None, hold), Intake(pieces(4, 4), 8, None, hold)
    await first()
    await first()
    with pytest.raises(TooMuch):
        await second()
    first.close()
    first.close()
    await second()
    assert hold.size == 4
    second.close()
    assert hold.size == 0


async def test_a_body_that_goes_elsewhere_counts_for_nothing() -> None:
    hold = Hold(10)
    taken = Intake(pieces(*[8] * 4), None, None, hold)
    for _ in range(4):
        await taken()
    assert hold.size == 0


def test_what_a_large_request_held_is_free_when_it_has_ended() -> None:
    """The error of a refused one kept it in memory, by a circle of references, until the garbage was collected."""
    image = "A" * (64 << 20)
    with short_folder() as folder, serving(folder) as server:
        process = psutil.Process(server.process.pid)
        assert server.post("/api/generate", model="tiny", prompt="x", images=["AAAA"]).status == 400
        before = process.memory_info().rss
        for path in ("/api/generate", "/api/chat", "/api/show"):
            said = [{"role": "user", "content": "x", "images": [image]}] if path == "/api/chat" else []
            assert server.post(path, model="tiny", images=[image], messages=said).status in (200, 400)
            until(lambda: process.memory_info().rss - before < 32 << 20, f"it is free after {path}", within=5)


async def test_nothing_that_was_refused_waits_for_the_garbage_collection() -> None:
    class Body:
        """Megabytes."""

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def work(body: Body) -> None:
        await asyncio.sleep(0)
        raise TooMuch("for this test")

    body = Body()
    known = weakref.ref(body)
    gc.disable()
    try:
        with pytest.raises(TooMuch) as caught:
            await while_connected(receive, work(body))
        del caught, body
        await asyncio.sleep(0)
        assert known() is None
    finally:
        gc.enable()


async def test_large_bodies_are_handed_out_one_after_the_other_and_others_have_their_turn_between() -> None:
    hold = Hold()
    seen: list[str] = []

    async def other() -> None:
        while True:
            seen.append("other")
            await asyncio.sleep(PAUSE / 4)

    async def large() -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": bytes(LARGE + 1), "more_body": False}

        await Intake(receive, MOST_BODY, None, hold)()
        seen.append("large")

    beside = asyncio.create_task(other())
    async with asyncio.timeout(patience(20)):
        await asyncio.gather(*(large() for _ in range(3)))
    beside.cancel()
    between = "".join("L" if each == "large" else "." for each in seen).strip(".")
    assert re.fullmatch(r"L\.+L\.+L", between), between
