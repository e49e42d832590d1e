"""Paths, methods and content types: what every client meets before it reads a body."""

from __future__ import annotations

import re

import pytest

from tests.support.server import Server

JSON = "application/json; charset=utf-8"
ABSENT = "sha256:" + 64 * "0"

ROUTES = [
    ("GET", "/"),
    ("GET", "/api/version"),
    ("GET", "/api/tags"),
    ("GET", "/api/ps"),
    ("POST", "/api/generate"),
    ("POST", "/api/chat"),
    ("POST", "/api/embed"),
    ("POST", "/api/embeddings"),
    ("POST", "/api/plan"),
    ("POST", "/api/show"),
    ("POST", "/api/create"),
    ("POST", f"/api/blobs/{ABSENT}"),
    ("HEAD", f"/api/blobs/{ABSENT}"),
    ("POST", "/api/copy"),
    ("DELETE", "/api/delete"),
]
ALLOW = {
    "/": "GET, HEAD",
    "/api/version": "GET, HEAD",
    "/api/tags": "GET, HEAD",
    "/api/ps": "GET",
    "/api/delete": "DELETE",
    f"/api/blobs/{ABSENT}": "HEAD, POST",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_the_route_is_there(server: Server, method: str, path: str) -> None:
    answer = server.request(method, path)
    assert answer.status != 405
    assert answer.headers["Content-Type"] != "text/plain"


@pytest.mark.parametrize("path", sorted({path for _, path in ROUTES}))
def test_another_method_is_told_which_are_allowed(server: Server, path: str) -> None:
    allowed = ALLOW.get(path, "POST")
    for method in METHODS:
        if method not in allowed:
            answer = server.request(method, path)
            assert (answer.status, answer.headers["Allow"]) == (405, allowed), method
            assert answer.headers["Content-Type"] == "text/plain"
            assert answer.body == (b"" if method == "HEAD" else b"405 method not allowed")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "path", ["/api", "/api/nosuch", "/v1/moderations", "/%00", "/api/chat/more", "/API/tags", "*"]
)
def test_an_unknown_path_is_plain_text(server: Server, method: str, path: str) -> None:
    answer = server.request(method, path)
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/plain")
    assert answer.body == (b"" if method == "HEAD" else b"404 page not found")


def test_liveness_is_a_literal_text(server: Server) -> None:
    answer = server.get("/")
    assert (answer.status, answer.body) == (200, b"Ollama is running")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_the_version_is_that_of_the_interface(server: Server) -> None:
    version = server.get("/api/version").json["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


@pytest.mark.parametrize("path", ["/", "/api/version", "/api/tags"])
def test_head_is_get_without_its_body(server: Server, path: str) -> None:
    head, get = server.request("HEAD", path), server.get(path)
    assert (head.status, head.body) == (200, b"")
    for name in ("Content-Type", "Content-Length"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize(
    "path", ["/api/tags/", "//api/tags", "/api//tags", "//api///tags//", "/api/tags?x=/"]
)
def test_superfluous_slashes_mean_nothing(server: Server, path: str) -> None:
    assert server.get(path).json == server.get("/api/tags").json


def test_superfluous_slashes_mean_nothing_to_a_post(server: Server) -> None:
    assert server.post("//api/show/", model="nosuch").error == "model 'nosuch:latest' not found"


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/api/tags", None, 200, JSON),
        ("/api/ps", None, 200, JSON),
        ("/api/show", {"model": "tiny"}, 200, JSON),
        ("/api/generate", {"model": "tiny", "prompt": "Hi!", "stream": False}, 200, JSON),
        ("/api/generate", {"model": "tiny", "prompt": "Hi!"}, 200, "application/x-ndjson"),
        ("/api/generate", {"model": "tiny"}, 200, JSON),
        (
            "/api/chat",
            {"model": "tiny", "messages": [{"role": "user", "content": "Hi!"}]},
            200,
            "application/x-ndjson",
        ),
        ("/api/chat", {"model": "tiny"}, 200, JSON),
        ("/api/generate", {"model": "nosuch", "prompt": "Hi!"}, 404, JSON),
        ("/api/generate", {"model": "nosuch", "prompt": "Hi!", "stream": False}, 404, JSON),
        ("/api/create", {"model": "x", "from": "tiny", "stream": False}, 200, "application/json"),
        ("/api/create", {"model": "x", "from": "tiny"}, 200, "application/x-ndjson"),
        ("/api/create", {"model": "x", "stream": False}, 400, "application/json"),
    ],
)
def test_content_types(server: Server, path: str, body: object, status: int, kind: str) -> None:
    answer = server.request("POST" if body else "GET", path, body)
    assert (answer.status, answer.headers["Content-Type"]) == (status, kind), answer.body
    assert answer.body.endswith(b"\n") == (kind == "application/x-ndjson")


def test_the_requests_content_type_and_accept_are_never_looked_at(server: Server) -> None:
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "image/png",
        "Authorization": "Bearer x",
    }
    answer = server.request("POST", "/api/show", {"model": "tiny"}, headers)
    assert answer.status == 200


def test_no_headers_say_what_we_are_made_of(server: Server) -> None:
    names = {name.lower() for name in server.get("/api/tags").headers}
    assert names == {"date", "content-type", "content-length", "x-request-id"}
