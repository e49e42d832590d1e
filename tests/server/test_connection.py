"""What comes over a connection, byte by byte: pipelined, broken, glued, half, or far too much. Each request is answered
in its turn or cleanly refused, nobody's leaving is missed, and the server is as before."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from tests.support.places import short_folder
from tests.support.processes import patience, until
from tests.support.server import Server, serving
from tropa.server.connection import MOST_HEAD, MOST_LATER, Connection, connection

HOST = b"Host: localhost\r\n"
VERSION = b"GET /api/version HTTP/1.1\r\n" + HOST + b"\r\n"
SHOW = b'{"model":"tiny"}'
SLOW = "slow:latest"
ENDLESS = {
    "model": "slow",
    "prompt": "Hi",
    "options": {"num_predict": -1, "num_ctx": 16384, "temperature": 0},
}


@pytest.fixture(scope="module")
def server(slow_model: Path) -> Iterator[Server]:
    with (
        short_folder() as folder,
        serving(
            folder, OLLAMA_NUM_PARALLEL="2", OLLAMA_CONTEXT_LENGTH="16384", OLLAMA_KEEP_ALIVE="-1"
        ) as server,
    ):
        server.create("slow", slow_model)
        for model in ("tiny", "slow"):
            assert server.post("/api/generate", model=model).status == 200
        yield server


@pytest.fixture(autouse=True)
def unharmed(server: Server) -> Iterator[None]:
    """After each of these the server answers, and holds no more files than before."""
    process = psutil.Process(server.process.pid)
    before = process.num_fds()
    yield
    assert server.get("/api/version").status == 200
    until(lambda: process.num_fds() <= before + 1, "the files are closed")


def connected(server: Server) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=patience(20))


def post(path: str, body: bytes, *headers: bytes) -> bytes:
    head = [f"POST {path} HTTP/1.1".encode(), b"Host: localhost", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


def generate(server: Server, **fields: object) -> bytes:
    return post("/api/generate", json.dumps({**ENDLESS, **fields}).encode())


def asked(server: Server, sent: bytes, answers: int = 1) -> bytes:
    """All that comes back, up to so many heads with their bodies, or up to the end."""
    found = b""
    with connected(server) as connection:
        connection.sendall(sent)
        while not ended(found, answers):
            if not (piece := connection.recv(1 << 16)):
                break
            found += piece
    return found


def ended(found: bytes, answers: int) -> bool:
    for _ in range(answers):
        head, blank, found = found.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        if not blank or not length or len(found) < int(length[1]):
            return False
        found = found[int(length[1]) :]
    return True


def statuses(found: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", found)]


def test_requests_in_one_packet_are_answered_in_their_order(server: Server) -> None:
    sent = [
        VERSION,
        post("/nosuch", b"x" * 10),
        post("/api/show", SHOW),
        post("/v1/messages", b"{"),
        b"DELETE /api/tags HTTP/1.1\r\n" + HOST + b"\r\n",
        b"HEAD /api/version HTTP/1.1\r\n" + HOST + b"\r\n",
        post(
            "/api/generate",
            b'{"model": "tiny", "prompt": "Hi", "stream": false, "options": {"num_predict": 1}}',
        ),
        b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    ]
    found = asked(server, b"".join(sent), 99)
    assert statuses(found) == [200, 404, 200, 400, 405, 200, 200, 200]
    assert found.endswith(b"Ollama is running")


def test_one_byte_at_a_time_makes_no_difference(server: Server) -> None:
    chunked = b"POST /api/show HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    chunked += b"".join(b"1\r\n%c\r\n" % byte for byte in SHOW) + b"0\r\nX-Trailer: 1\r\n\r\n"
    with connected(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in VERSION + chunked + post("/api/show", SHOW) + b"GET /no HTTP/1.0\r\n\r\n":
            connection.sendall(bytes([byte]))
        found = b""
        while piece := connection.recv(1 << 16):
            found += piece
    assert statuses(found) == [200, 200, 200, 404]


def test_a_request_right_behind_a_body_in_chunks(server: Server) -> None:
    chunked = b"POST /api/show HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    chunked += b"%x\r\n%b\r\n0\r\n\r\n" % (len(SHOW), SHOW)
    assert statuses(asked(server, chunked + chunked + VERSION + chunked, 4)) == [200] * 4


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("behind", [b"", VERSION, VERSION * 3, b"GET / HT", b"\0\xff nonsense \r\n\r\n"])
def test_whoever_leaves_is_heard_whatever_was_sent_behind_the_request(
    server: Server, stream: bool, behind: bytes
) -> None:
    with connected(server) as connection:
        connection.sendall(generate(server, stream=stream) + behind)
        until(lambda: server.busy(SLOW) == 1, "it generates")
    until(lambda: server.busy(SLOW) == 0, "the slot is free", within=1.0)


def test_of_pipelined_generations_none_is_left_behind(server: Server) -> None:
    """uvicorn told only the last of them; the first went on to its end."""
    with connected(server) as connection:
        connection.sendall(generate(server) * 3)
        until(lambda: server.busy(SLOW) == 1, "the first generates, the others wait for their turn")
        connection.sendall(generate(server, stream=False) * 2)
    until(lambda: server.busy(SLOW) == 0, "the slot is free", within=1.0)


def test_who_sends_ahead_without_end_has_its_answer_and_no_more(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    few = generate(server, stream=False, options={"num_predict": 100, "num_ctx": 16384, "temperature": 0})
    with connected(server) as connection:
        connection.sendall(few)
        before = process.memory_info().rss
        for _ in range(64):
            connection.sendall(VERSION * (MOST_LATER // len(VERSION)))
        found = b""
        while piece := connection.recv(1 << 16):
            found += piece
        assert process.memory_info().rss - before < 16 << 20
    assert statuses(found) == [200]
    assert b'"done":true' in found


def test_who_closes_only_its_own_half_still_has_short_answers(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(VERSION + post("/api/show", SHOW))
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while piece := connection.recv(1 << 16):
            found += piece
    assert statuses(found) == [200, 200]


def test_javas_first_request_keeps_its_body(server: Server) -> None:
    """Its client offers to go over to HTTP/2, with which the parser would take the body for something else."""
    offer = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAAB")
    found = asked(server, post("/api/show", SHOW, *offer) + VERSION, 2)
    assert statuses(found) == [200, 200]


def test_before_http_1_1_there_are_no_chunks(server: Server) -> None:
    body = json.dumps({"model": "tiny", "prompt": "Hi", "options": {"num_predict": 3}}).encode()
    found = asked(server, post("/api/generate", body).replace(b"HTTP/1.1", b"HTTP/1.0"), 99)
    head, _, rest = found.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert [json.loads(line)["done"] for line in rest.splitlines()][-1] is True


BODY = {"TE": b"Transfer-Encoding: chunked\r\n", "CL": b"Content-Length: 4\r\n"}


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03",  # who believes that this is TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET / HTTP/3.0\r\n" + HOST + b"\r\n",
        b"get / HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n b\r\n\r\n",
        b"POST /api/show HTTP/1.1\r\n" + HOST + b"Content-Length : 4\r\n\r\nnull",
        b"POST /api/show HTTP/1.1\r\n" + HOST + BODY["TE"] + BODY["CL"] + b"\r\n0\r\n\r\n",
        b"POST /api/show HTTP/1.1\r\n" + HOST + BODY["CL"] + BODY["TE"] + b"\r\n0\r\n\r\n",
        b"POST /api/show HTTP/1.1\r\n" + HOST + BODY["CL"] + b"Content-Length: 5\r\n\r\nnull",
        *(
            b"POST /api/show HTTP/1.1\r\n" + HOST + b"Content-Length: " + length + b"\r\n\r\nnull"
            for length in (b"-1", b"+4", b"4.0", b"0x4", b"4 4", b"9" * 30)
        ),
        *(
            b"POST /api/show HTTP/1.1\r\n" + HOST + BODY["TE"] + b"\r\n" + size + b"\r\nnull\r\n0\r\n\r\n"
            for size in (b"zz", b"-4", b"0x4", b"f" * 20, b"3")
        ),
    ],
)
def test_what_is_no_request_is_refused_at_once(server: Server, sent: bytes) -> None:
    found = asked(server, sent, 99)
    assert statuses(found) == [400]
    assert b"connection: close" in found
    assert b"\r\n\r\nthe request can't be read: " in found


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * (MOST_HEAD - 200) + b" HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"GET /" + b"a" * MOST_HEAD + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431),
        (b"GET /" + b"a" * 50 * MOST_HEAD, 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: a\r\n" % n for n in range(100_000)), 431),
        (
            b"POST /api/show HTTP/1.1\r\n" + HOST + BODY["TE"] + b"\r\n4;" + b"a" * 1_000_000 + b"\r\nnull",
            431,
        ),
        (b"POST /api/show HTTP/1.1\r\n" + HOST + BODY["TE"] + b"\r\n0\r\n" + b"X: a\r\n" * 100_000, 431),
    ],
)
def test_a_head_without_end_is_refused_and_the_refusal_arrives(
    server: Server, sent: bytes, status: int
) -> None:
    """Also where the client would rather send on: closed at once, the connection would be reset under its answer."""
    assert statuses(asked(server, sent)) == [status]


def test_a_trailer_is_no_header(server: Server) -> None:
    sent = b"POST /nosuch HTTP/1.1\r\n" + HOST + BODY["TE"] + b"\r\n0\r\nX-Request-Id: trailing\r\n\r\n"
    assert b"trailing" not in asked(server, sent)


@pytest.mark.parametrize("path", ["/nosuch", "/api/tags"])
def test_an_answer_that_does_not_wait_for_the_body_is_the_last(server: Server, path: str) -> None:
    """Else the client, that was not told to go on, would ask next what is taken for the body."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 500\r\n\r\n"
    found = asked(server, head.encode() + VERSION, 99)
    assert statuses(found) in ([404], [405])
    assert b"connection: close" in found


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    head = (
        b"POST /api/show HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 300000000\r\n\r\n"
    )
    found = asked(server, head)
    assert statuses(found) == [413]
    assert b"larger than 256 MiB" in found


def test_a_client_that_sends_all_of_it_all_the_same_reads_why_not(server: Server) -> None:
    with connected(server) as connection:
        connection.sendall(b"POST /api/show HTTP/1.1\r\n" + HOST + b"Content-Length: 300000000\r\n\r\n")
        for _ in range(300):
            connection.sendall(bytes(1_000_000))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413 ")


def test_a_server_that_stops_waits_for_nobody_who_was_refused() -> None:
    with short_folder() as folder, serving(folder) as server:
        refused = [connected(server) for _ in range(3)]
        for connection, sent in zip(
            refused, (b"\0", b"GET /" + b"a" * MOST_HEAD, b"CONNECT x:1 HTTP/1.1\r\n\r\n"), strict=True
        ):
            connection.sendall(sent)
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 4")
        head = b"POST /nosuch HTTP/1.1\r\n" + HOST + b"Content-Length: 99\r\n\r\n"
        refused.append(connected(server))
        refused[-1].sendall(head)
        assert refused[-1].recv(1 << 16).startswith(b"HTTP/1.1 404 ")
        server.signal(signal.SIGTERM)
        assert server.wait(within=8) == 0
        for connection in refused:
            connection.close()


@asynccontextmanager
async def listening(kind: type[Connection], app: ASGIApp) -> AsyncIterator[int]:
    """A port where connections of this kind lead to `app`."""
    config = uvicorn.Config(app, http=kind, log_config=None, lifespan="off", ws="none")
    config.load()
    made = partial(kind, config=config, server_state=ServerState(), app_state={})
    async with await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


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

    async with listening(connection(0.05), app) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with asyncio.timeout(patience(20)):
                await gone.wait()


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
async def test_a_whole_answer_that_nobody_takes_is_thrown_away(close: bytes) -> None:
    """The transport would wait for its last bytes to be taken, for ever."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        size = 16 << 20
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]}
        )
        await send({"type": "http.response.body", "body": bytes(size)})

    gone = asyncio.Event()

    class Watched(connection(0.05)):  # type: ignore[misc] # made at run time
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            gone.set()

    async with listening(Watched, app) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + close + b"\r\n")
            async with asyncio.timeout(patience(20)):
                await gone.wait()


async def test_of_too_many_connections_the_one_that_is_idle_longest_makes_room() -> None:
    """Who says nothing keeps nobody out; who is being answered stays."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while scope["path"] == "/wait" and (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    wait = b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n"
    async with asyncio.timeout(patience(20)), listening(connection(60, most=3), app) as port:
        busy = await opened(port, wait)
        silent = [await opened(port, b"GET / HT") for _ in range(8)]
        last = await opened(port, VERSION)
        assert (await last[0].readline()).startswith(b"HTTP/1.1 200 ")
        assert [await reader.read() for reader, _ in silent[:7]] == [b""] * 7
        more = [await opened(port, wait) for _ in range(3)]
        assert [(await reader.read(13)) for reader, _ in more[2:]] == [b"HTTP/1.1 503 "]
        assert not busy[0].at_eof()
        for _, writer in (busy, *silent, last, *more):
            writer.close()


async def opened(port: int, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    await writer.drain()
    return reader, writer
