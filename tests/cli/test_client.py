"""The HTTP client: splitting lines, uploads, and every way a server can disappoint."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.fakeserver import Fake, Reply, error, lines
from tests.registry.web import Ask, Web
from tests.registry.web import Reply as WebReply
from tests.support.certificate import self_signed
from tropa.client.client import Client
from tropa.client.errors import BadReply, CannotConnect, ConnectionLost, NoSuchRoute, ServerError
from tropa.client.lines import Lines, LineTooLong
from tropa.settings import Host


@pytest.fixture
def client(fake: Fake) -> Client:
    return Client(Host("127.0.0.1", fake.port))


@given(st.lists(st.binary(max_size=8).map(lambda b: b.replace(b"\n", b"")), max_size=6), st.data())
def test_lines_come_out_whole_however_they_are_cut(whole: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in whole) + b"rest"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    lines = Lines()
    got = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += lines.feed(stream[start:end])
    assert (got, lines.finish()) == (whole, b"rest")


def test_only_lf_ends_a_line() -> None:
    text = '{"a": "\u2028 \u0085 \r \x0b"}'.encode()
    assert Lines().feed(text + b"\n") == [text]


def test_a_line_has_a_limit() -> None:
    lines = Lines(limit=10)
    assert lines.feed(b"0123456789\n012345678") == [b"0123456789"]
    with pytest.raises(LineTooLong):
        lines.feed(b"90")


def test_records_of_a_stream(client: Client, fake: Fake) -> None:
    text = "x" * 300_000 + "\u2028"
    fake.replies["POST /x"] = lines({"n": 1, "text": text}, {"n": 2})
    assert list(client.stream("/x", {"y": 1})) == [{"n": 1, "text": text}, {"n": 2}]
    (asked,) = fake.asked
    assert asked.json == {"y": 1}
    assert asked.headers["Accept"] == "application/x-ndjson"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["User-Agent"].startswith("tropa/")


def test_a_single_object_is_a_stream_of_one(client: Client, fake: Fake) -> None:
    fake.replies["POST /x"] = Reply(b'{"done": true}')
    assert list(client.stream("/x", {})) == [{"done": True}]


def test_an_empty_body_is_an_empty_object(client: Client, fake: Fake) -> None:
    fake.replies["POST /x"] = Reply()
    assert client.post("/x", {}) == {}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error": "no"}', "no"),
        (b'{"error": {"message": "no", "type": "x"}}', "no"),
        (b"plain words\n", "plain words"),
        (b"[1]", "[1]"),
        (b"", "418 I'm a Teapot"),
    ],
)
def test_errors_in_every_envelope(client: Client, fake: Fake, body: bytes, text: str) -> None:
    fake.replies["POST /x"] = Reply(body, 418)
    with pytest.raises(ServerError) as caught:
        client.post("/x", {})
    assert (str(caught.value), caught.value.status) == (text, 418)


def test_an_error_of_a_stream_names_the_status(client: Client, fake: Fake) -> None:
    fake.replies["POST /x"] = error("model 'x' not found", 404)
    with pytest.raises(ServerError, match=r"^404 Not Found: model 'x' not found$"):
        list(client.stream("/x", {}))


def test_an_unknown_route_is_told_from_an_unknown_model(client: Client) -> None:
    with pytest.raises(NoSuchRoute):
        client.get("/nosuch")


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'"x"', b"[" * 100_000])
def test_what_is_not_our_json(client: Client, fake: Fake, body: bytes) -> None:
    fake.replies["GET /x"] = Reply(body)
    with pytest.raises(BadReply):
        client.get("/x")


def test_a_stream_that_is_cut_off(client: Client, fake: Fake) -> None:
    fake.replies["POST /x"] = lines({"n": 1}, cut=True)
    records = client.stream("/x", {})
    assert next(records) == {"n": 1}
    with pytest.raises(ConnectionLost):
        next(records)


def test_closing_a_stream_hangs_up(client: Client, fake: Fake) -> None:
    fake.replies["POST /x"] = lines({"n": 1}, hold=True)
    records = client.stream("/x", {})
    next(records)
    records.close()
    assert fake.gone.wait(20)


def test_a_path_of_the_address_goes_before_every_route(fake: Fake) -> None:
    fake.replies["GET /ollama/api/ps"] = Reply(b"{}")
    assert Client(Host("127.0.0.1", fake.port, path="/ollama")).get("/api/ps") == {}


@pytest.mark.parametrize("path", ["/a b", "/ä", "/a\r\nX: 1"])
def test_a_path_of_the_address_that_is_none(fake: Fake, path: str) -> None:
    with pytest.raises(CannotConnect, match="is no path"):
        Client(Host("127.0.0.1", fake.port, path=path)).get("/api/ps")
    assert fake.asked == []


def test_proxies_are_for_registries_and_not_for_us(
    client: Client, fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    fake.replies["GET /x"] = Reply(b"{}")
    assert client.get("/x") == {}
    assert fake.asked[0].headers["Host"] == fake.address


@pytest.mark.parametrize("anywhere", ["", "0.0.0.0"])
def test_a_server_on_all_addresses_is_reached_on_this_machine(fake: Fake, anywhere: str) -> None:
    Client(Host(anywhere, fake.port)).alive()


def test_blobs(client: Client, fake: Fake) -> None:
    fake.replies |= {"HEAD /api/blobs/d": Reply(), "HEAD /api/blobs/bad": Reply(status=400)}
    assert client.has_blob("d")
    assert not client.has_blob("other")
    with pytest.raises(ServerError):
        client.has_blob("bad")


def test_a_refused_connection(nobody: str) -> None:
    host, port = nobody.split(":")
    with pytest.raises(CannotConnect) as caught:
        Client(Host(host, int(port))).alive()
    assert caught.value.refused


@pytest.mark.parametrize("name", ["no such host.invalid", "a" * 70 + ".invalid", "\udc80"])
def test_a_host_that_cannot_be(name: str) -> None:
    with pytest.raises(CannotConnect) as caught:
        Client(Host(name)).alive()
    assert not caught.value.refused


@pytest.fixture
def raw() -> Iterator[tuple[int, list[bytes]]]:
    """A listener that answers each connection with the next of these bytes, once a request's head is there."""
    answers: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while answers:
                connection, _ = listener.accept()
                with connection:
                    head = b""
                    while b"\r\n\r\n" not in head:
                        head += connection.recv(4096)
                    connection.sendall(answers.pop(0))

        thread = threading.Thread(target=serve, daemon=True)
        yield listener.getsockname()[1], _StartOnFirst(answers, thread)


class _StartOnFirst(list[bytes]):
    def __init__(self, answers: list[bytes], thread: threading.Thread) -> None:
        super().__init__()
        self._answers, self._thread = answers, thread

    def append(self, answer: bytes) -> None:
        self._answers.append(answer)
        self._thread.start()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", BadReply),
        (b"", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{", ConnectionLost),
    ],
)
def test_servers_that_are_none(raw: tuple[int, list[bytes]], answer: bytes, kind: type[Exception]) -> None:
    port, answers = raw
    answers.append(answer)
    with pytest.raises(kind):
        Client(Host("127.0.0.1", port)).get("/")


def test_an_upload_that_is_refused_early_still_tells_why(raw: tuple[int, list[bytes]]) -> None:
    """The server answers after the head and hangs up, while we still send."""
    port, answers = raw
    body = json.dumps({"error": "disk full"}).encode()
    answers.append(
        b"HTTP/1.1 507 No\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)
    )
    blocks = (b"x" * (1 << 20) for _ in range(64))
    with pytest.raises((ServerError, ConnectionLost)):
        Client(Host("127.0.0.1", port)).upload("d", blocks, 64 << 20)


def test_a_server_without_tls_is_not_asked_with_it(fake: Fake) -> None:
    with pytest.raises(CannotConnect, match=r"is it http, not https\?"):
        Client(Host("127.0.0.1", fake.port, "https")).get("/x")


def test_a_certificate_that_nobody_vouches_for(tmp_path: Path) -> None:
    with (
        Web(lambda _: WebReply(), self_signed(tmp_path / "both.pem")) as web,
        pytest.raises(CannotConnect, match="its certificate is not trusted: self-signed certificate"),
    ):
        Client(Host("127.0.0.1", int(web.host.partition(":")[2]), "https")).get("/x")


def test_a_server_behind_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = self_signed(tmp_path / "both.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    text = "x" * 200_000

    def answer(ask: Ask) -> WebReply:
        return WebReply(
            200, {}, json.dumps({"path": ask.path, "got": ask.body.decode(), "text": text}).encode()
        )

    with Web(answer, certificate) as web:
        client = Client(Host("127.0.0.1", int(web.host.partition(":")[2]), "https", "/sub"))
        assert client.post("/x", {"a": 1}) == {"path": "/sub/x", "got": '{"a": 1}', "text": text}
        assert web.asks[0].headers["Host"] == web.host


def test_the_usual_address_is_not_repeated() -> None:
    assert CannotConnect(Host().url, "", refused=True).hint is None
    assert "http://[::1]:5" in (CannotConnect(Host("::1", 5).url, "", refused=True).hint or "")
