"""HTTP as the client reads it: every framing of a body, however it is cut, and everything that is no HTTP."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropa.client.wire import Answer, Broken, NotHttp, host_field, send


@contextmanager
def answering(*pieces: bytes, method: str = "GET", patience: float = 20) -> Iterator[Answer]:
    """An answer read from these bytes, after which the other side closes."""
    ours, theirs = socket.socketpair()
    ours.settimeout(patience)
    with ours, theirs:
        for piece in pieces:
            theirs.sendall(piece)
        theirs.shutdown(socket.SHUT_WR)
        answer = Answer(ours, method)
        try:
            yield answer
        finally:
            answer.close()


def body(answer: Answer, most: int = 1 << 16) -> bytes:
    pieces = []
    while piece := answer.read(most):
        assert len(piece) <= most
        pieces.append(piece)
    assert answer.read() == b"", "the end stays the end"
    return b"".join(pieces)


OK = b"HTTP/1.1 200 OK\r\n"


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.integers(1, 50))
def test_chunks_become_one_body(chunks: list[bytes], most: int) -> None:
    sent = b"".join(b"%X;name=value\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    with answering(head, sent + b"0\r\nX-Checksum: 1\r\n\r\nHTTP/1.1 500 next") as answer:
        assert body(answer, most) == b"".join(chunks)


@given(st.binary(max_size=60), st.integers(1, 50))
def test_a_body_of_known_length_or_up_to_the_end(content: bytes, most: int) -> None:
    with answering(OK, b"content-length:%d\r\n\r\n" % len(content), content + b"more") as answer:
        assert body(answer, most) == content
    with answering(OK, b"\r\n" + content) as answer:
        assert body(answer, most) == content


def test_a_head_in_any_style() -> None:
    with answering(b"HTTP/1.0 418 I'm a  Teapot \nCONTENT-LENGTH :  2\n\nab") as answer:
        assert (answer.status, answer.reason, body(answer)) == (418, "I'm a  Teapot", b"ab")
    with answering(b"HTTP/1.1 502\r\n\r\n") as answer:
        assert (answer.status, answer.reason) == (502, "")


def test_interim_answers_are_passed_over() -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    with answering(early, OK + b"Content-Length: 1\r\n\r\nx") as answer:
        assert (answer.status, body(answer)) == (200, b"x")


@pytest.mark.parametrize("fields", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b""])
def test_answers_that_have_no_body(fields: bytes) -> None:
    with answering(OK + fields + b"\r\n", method="HEAD") as answer:
        assert body(answer) == b""
    with answering(b"HTTP/1.1 204 No Content\r\n" + fields + b"\r\n") as answer:
        assert body(answer) == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x03\x00\x02",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 twohundred OK\r\n\r\n",
        b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 1_0\r\n\r\n",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http(sent: bytes) -> None:
    with pytest.raises(NotHttp), answering(sent):
        pass


@pytest.mark.parametrize(
    "sent",
    [b"", OK, OK + b"X: 1", OK + b"X: 1\r\n", OK + b"X: 1\r\n" * 20_000, OK + b"X: " + b"1" * 100_000],
)
def test_a_head_without_an_end(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(Broken):
            Answer(ours, "GET")


@pytest.mark.parametrize(
    "sent",
    [
        *(
            b"",
            b"5",
            b"5\r\n",
            b"5\r\nab",
            b"2\r\nabc\r\n0\r\n\r\n",
            b"2\r\nab\r\n",
            b"0\r\n",
            b"0\r\nX: 1\r\n",
        ),
        *(b"-1\r\n", b"+2\r\nab\r\n", b"0x2\r\nab\r\n", b"\r\n", b"f" * 16 + b"\r\n", b"zz\r\nab\r\n"),
    ],
)
def test_chunks_that_do_not_fit_together_are_no_end(sent: bytes) -> None:
    with answering(OK + b"Transfer-Encoding: chunked\r\n\r\n" + sent) as answer, pytest.raises(Broken):
        body(answer)


def test_an_answer_that_never_comes_is_waited_for_as_long_as_we_are_patient() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.01)
        with pytest.raises(TimeoutError):
            Answer(ours, "GET")


def request(*args: object, **words: object) -> bytes:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, *args, **words)  # type: ignore[arg-type] # those of `send`
        ours.shutdown(socket.SHUT_WR)
        with theirs.makefile("rb") as file:
            return file.read()


def test_what_a_request_looks_like() -> None:
    assert (
        request("GET", "/x?y=1", {"Host": "h"})
        == b"GET /x?y=1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
    )
    assert request("POST", "/x", {}, b"{}") == (
        b"POST /x HTTP/1.1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert request("POST", "/x", {"Content-Length": "3"}, iter([b"a", b"bc"])).endswith(b"\r\n\r\nabc")
    assert b"Content-Length: 0" in request("POST", "/x", {}, b"")


@pytest.mark.parametrize("target", ["/a b", "/a\r\nX: 1", "/ä", "/\x7f", "/\udc80"])
def test_a_path_cannot_smuggle_anything_in(target: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        request("GET", target, {})


@pytest.mark.parametrize(
    ("scheme", "name", "port", "field"),
    [
        ("http", "a.example", 80, "a.example"),
        ("http", "a.example", 443, "a.example:443"),
        ("https", "a.example", 443, "a.example"),
        ("http", "::1", 11434, "[::1]:11434"),
        ("http", "fe80::1%eth0", 80, "[fe80::1]"),
        ("http", "bücher.example", 80, "xn--bcher-kva.example"),
    ],
)
def test_the_host_that_is_named(scheme: str, name: str, port: int, field: str) -> None:
    assert host_field(scheme, name, port) == field
