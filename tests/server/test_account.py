"""What clients ask of the reference's cloud: answered as by a server that has none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.server import Server


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/api/status", None, 200, {"cloud": {"disabled": True, "source": "config"}}),
        ("POST", "/api/me", {}, 503, {"error": "account unavailable"}),
        ("POST", "/api/signout", {}, 401, {"error": "you are not currently signed in"}),
        ("DELETE", "/api/user/keys/abc", None, 401, {"error": "you are not currently signed in"}),
        ("GET", "/api/experimental/model-recommendations", None, 200, {"recommendations": []}),
        (
            *("POST", "/api/experimental/web_search", {"query": "x"}, 403),
            {"error": "ollama cloud is disabled: web search is unavailable"},
        ),
        (
            *("POST", "/api/experimental/web_fetch", {"url": "x"}, 403),
            {"error": "ollama cloud is disabled: web fetch is unavailable"},
        ),
        ("POST", "/api/experimental/web_fetch", None, 400, {"error": "missing request body"}),
        ("POST", "/api/experimental/web_search", b" \n", 400, {"error": "missing request body"}),
    ],
)
def test_there_is_no_cloud(
    server: Server, method: str, path: str, body: Any, status: int, said: dict[str, Any]
) -> None:
    answer = server.request(method, path, body)
    assert (answer.status, answer.json) == (status, said)
