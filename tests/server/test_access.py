"""Which pages may use the API (Origin), and under which names the server is meant (Host)."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.places import short_folder
from tests.support.server import Server, serving
from tropa.server.access import BadOrigin, Origins, host_allowed
from tropa.server.listener import is_loopback


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with (
        short_folder() as folder,
        serving(folder, OLLAMA_ORIGINS="http://my.page,chrome-extension://*") as server,
    ):
        yield server


ORIGINS = [
    ("http://localhost", True),
    ("https://localhost:3000", True),
    ("http://127.0.0.1:8080", True),
    ("http://0.0.0.0", True),
    ("app://obsidian.md", True),
    ("file://", True),
    ("tauri://localhost", True),
    ("vscode-webview://1a2b", True),
    ("vscode-file://vscode-app", True),
    ("http://my.page", True),
    ("chrome-extension://abc", True),
    ("http://sub.my.page", False),
    ("http://my.page.evil.org", False),
    ("http://my.page:8080", False),
    ("https://my.page", False),
    ("http://LOCALHOST", False),
    ("http://localhost.evil.org", False),
    ("http://127.0.0.1.evil.org", False),
    ("moz-extension://abc", False),
    ("https://evil.org", False),
    ("null", False),
    ("", False),
]


@pytest.mark.parametrize(("origin", "allowed"), ORIGINS)
def test_origins(origin: str, allowed: bool) -> None:
    assert Origins(["http://my.page", "chrome-extension://*"]).allow(origin) is allowed


@pytest.mark.parametrize(
    ("entry", "origin", "allowed"),
    [
        ("http://*.my.page", "http://a.my.page", True),
        ("http://*.my.page", "http://.my.page", True),
        ("http://*.my.page", "http://my.page", False),
        ("http://My.Page", "http://my.page", True),
        ("http://aa*aa", "http://aaa", False),
        ("*", "https://evil.org", True),
    ],
)
def test_patterns_have_one_star(entry: str, origin: str, allowed: bool) -> None:
    assert Origins([entry]).allow(origin) is allowed


@pytest.mark.parametrize("entry", ["http://*.a.*", "my.page", "ftp://my.page", "localhost:3000"])
def test_an_entry_that_can_match_nothing(entry: str) -> None:
    with pytest.raises(BadOrigin, match=r"^OLLAMA_ORIGINS: "):
        Origins([entry])


HOSTS = [
    ("", True),
    ("localhost", True),
    ("LocalHost:11434", True),
    ("127.0.0.1", True),
    ("127.0.0.1:11434", True),
    ("127.9.9.9", True),
    ("[::1]", True),
    ("[::1]:11434", True),
    ("0.0.0.0:1", True),
    ("[::]:1", True),
    ("192.168.1.7", True),
    ("10.0.0.1:11434", True),
    ("my-machine", True),
    ("MY-MACHINE:80", True),
    ("printer.local", True),
    ("app.localhost:1", True),
    ("x.internal", True),
    ("203.0.113.5", True),
    ("8.8.8.8", False),
    ("8.8.8.8:11434", False),
    ("evil.org", False),
    ("evil.org:11434", False),
    ("localhost.evil.org", False),
    ("local", False),
    ("127.0.0.1.evil.org", False),
    ("my-machine.evil.org", False),
    ("[2001:4860:4860::8888]:1", False),
]


@pytest.mark.parametrize(("host", "allowed"), HOSTS)
def test_hosts(host: str, allowed: bool) -> None:
    assert host_allowed(host, {"my-machine"}, lambda: {"203.0.113.5"}) is allowed


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.1.2.3", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("192.168.1.7", False),
        ("example.com", False),
    ],
)
def test_hosts_are_checked_on_loopback_only(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_request_without_an_origin_gets_no_cors_headers(server: Server) -> None:
    answer = server.get("/api/version")
    assert answer.status == 200
    assert not {name.lower() for name in answer.headers} & {"access-control-allow-origin", "vary"}


def test_the_servers_own_origin_gets_no_cors_headers(server: Server) -> None:
    answer = server.get("/api/version", {"Origin": server.url})
    assert answer.status == 200
    assert answer.headers.get("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://my.page"])
@pytest.mark.parametrize(("path", "status"), [("/api/version", 200), ("/nosuch", 404)])
def test_an_allowed_origin_is_named_in_the_answer(
    server: Server, origin: str, path: str, status: int
) -> None:
    answer = server.get(path, {"Origin": origin})
    assert answer.status == status
    assert (answer.headers["Access-Control-Allow-Origin"], answer.headers["Vary"]) == (origin, "Origin")
    assert answer.headers.get("Access-Control-Allow-Credentials") is None


@pytest.mark.parametrize("path", ["/api/chat", "/nosuch"])
def test_a_preflight_of_an_allowed_origin(server: Server, path: str) -> None:
    asked = {"Origin": "http://my.page", "Access-Control-Request-Method": "POST"}
    answer = server.request("OPTIONS", path, headers=asked)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == "http://my.page"
    assert answer.headers["Access-Control-Allow-Methods"] == "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
    assert {"Authorization", "Content-Type", "X-Stainless-Retry-Count"} <= {
        *answer.headers["Access-Control-Allow-Headers"].split(",")
    }
    assert answer.headers["Access-Control-Max-Age"] == "43200"
    assert answer.headers["Vary"] == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    assert answer.headers.get("Content-Length") is None, "a 204 has none (RFC 9110 8.6)"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize("path", ["/api/tags", "/nosuch"])
def test_a_foreign_page_gets_nothing(server: Server, method: str, path: str) -> None:
    answer = server.request(method, path, headers={"Origin": "https://evil.org"})
    assert (answer.status, answer.body) == (403, b"")
    assert answer.headers.get("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.org", 403),
        ("8.8.8.8", 403),
        ("printer.local", 200),
        (socket.gethostname(), 200),
        ("[::1]:1", 200),
    ],
)
def test_a_foreign_name_for_this_machine(server: Server, host: str, status: int) -> None:
    answer = server.get("/api/tags", {"Host": host})
    assert answer.status == status
    assert bool(answer.body) == (status == 200)


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("localhost", "/api/chat", 204),
        ("printer.local:1", "/nosuch", 204),
        ("127.0.0.1", "/api/chat", 405),
        ("127.0.0.1", "/nosuch", 404),
        ("[::1]:1", "/api/chat", 405),
        ("evil.org", "/api/chat", 403),
    ],
)
def test_options_of_no_page(server: Server, host: str, path: str, status: int) -> None:
    answer = server.request("OPTIONS", path, headers={"Host": host})
    assert answer.status == status
    assert ("Allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    "hosts", [("localhost", "evil.org"), ("evil.org", "localhost"), ("localhost", "127.0.0.1")]
)
def test_of_two_hosts_none_counts(server: Server, hosts: tuple[str, str]) -> None:
    """Whoever stands before us may have looked at the other."""
    with socket.create_connection((server.host, server.port), timeout=20) as connection:
        lines = [
            "GET /api/version HTTP/1.1",
            *(f"Host: {host}" for host in hosts),
            "Connection: close",
            "",
            "",
        ]
        connection.sendall("\r\n".join(lines).encode())
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 403 ")
