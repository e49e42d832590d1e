"""Clients that dawdle, or send without end: told so, and let go."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from functools import partial

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.server import ServerState

from tests.support.places import short_folder
from tests.support.processes import patience
from tests.support.server import Server, serving
from tropa.server.intake import MOST_HEAD, Intake, TooLarge, connection

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
    body = b'{"model":"tiny"}'
    with connected(server) as connection:
        head = (
            f"POST /api/show HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}"
        )
        connection.sendall(head.encode() + b"\r\n\r\n")
        for byte in body:
            time.sleep(SECONDS / 8)  # the slowness is the test
            connection.sendall(bytes([byte]))
        assert everything(connection).startswith(b"HTTP/1.1 200 ")


def test_a_head_without_end_is_cut_off(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            connection.sendall(b"a" * 200 * MOST_HEAD)
    assert server.get("/").status == 200


async def test_who_takes_nothing_of_the_answer_is_let_go() -> None:
    gone = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        """An answer without end, and an ear for the client's leaving."""

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        watching = asyncio.create_task(watch())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not gone.is_set():
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        await watching

    kind = connection(0.05)
    config = uvicorn.Config(app, http=kind, log_config=None, lifespan="off", ws="none")
    config.load()
    made = partial(kind, config=config, server_state=ServerState(), app_state={})
    async with await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with asyncio.timeout(patience(20)):
                await gone.wait()


async def test_a_body_beyond_all_measure_is_refused() -> None:
    pieces = [{"type": "http.request", "body": b"x" * 6, "more_body": True}] * 2

    async def receive() -> Message:
        return pieces.pop()

    taken = Intake(receive, 10, None)
    await taken()
    with pytest.raises(TooLarge):
        await taken()
    assert taken.failed
