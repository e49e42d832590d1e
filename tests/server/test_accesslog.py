"""Every exchange has an id and, when it has ended, a line of its own."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.places import short_folder
from tests.support.processes import until
from tests.support.server import Server, serving
from tropa.server.accesslog import record
from tropa.server.journal import CLIENT_GONE, Exchange

CHAT = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "my secret"}],
    "options": {"num_predict": 4},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with short_folder() as folder, serving(folder, TROPA_ACCESS_LOG="json") as server:
        yield server
        assert "my secret" not in server.log.read_text()


def lines(server: Server) -> list[dict[str, Any]]:
    text = server.log.read_text().splitlines()
    return [json.loads(line) for line in text if line.startswith("{")]


def line_of(server: Server, ident: str) -> dict[str, Any]:
    """The line of an exchange, once it has ended."""
    found: list[dict[str, Any]] = []

    def written() -> bool:
        found[:] = [line for line in lines(server) if line["id"] == ident]
        return bool(found)

    until(written, f"the line of {ident}")
    (line,) = found
    return line


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/api/tags", 200),
        ("GET", "/nosuch", 404),
        ("DELETE", "/api/tags", 405),
        ("POST", "/v1/chat/completions", 400),
        ("POST", "/v1/messages", 400),
    ],
)
def test_every_answer_has_an_id(server: Server, method: str, path: str, status: int) -> None:
    answer = server.request(method, path)
    assert answer.status == status
    assert line_of(server, answer.headers["x-request-id"])["status"] == status


def test_the_clients_own_id_is_kept(server: Server) -> None:
    answer = server.request("POST", "/api/chat", CHAT, {"X-Request-Id": "trace-1.a_B:2"})
    assert answer.headers["x-request-id"] == "trace-1.a_B:2"
    assert line_of(server, "trace-1.a_B:2")["route"] == "/api/chat"
    answer = server.request("POST", "/v1/messages", {}, {"X-Request-Id": "trace-2"})
    assert answer.headers["request-id"] == answer.json["request_id"] == "trace-2"


@pytest.mark.parametrize("ident", ["", "with space", "a" * 129, '"}', "\xe9"])
def test_an_id_that_is_none_is_replaced(server: Server, ident: str) -> None:
    answer = server.get("/api/version", {"X-Request-Id": ident})
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize("stream", [True, False])
def test_a_chats_line_says_where_its_time_went(server: Server, stream: bool) -> None:
    answer = server.request("POST", "/api/chat", {**CHAT, "stream": stream})
    final = answer.lines[-1] if stream else answer.json
    line = line_of(server, answer.headers["x-request-id"])
    assert (line["method"], line["route"], line["status"]) == ("POST", "/api/chat", 200)
    assert (line["model"], line["tokens"]) == ("tiny:latest", 4)
    assert line["prompt_tokens"] == final["prompt_eval_count"]
    assert line["cached_tokens"] == final.get("cached_tokens", 0)
    assert line["generation_ms"] == pytest.approx(final["eval_duration"] / 1e6, abs=0.001)
    assert line["runner"] >= 1
    assert line["queue_ms"] + line["load_ms"] <= final["load_duration"] / 1e6 + 0.01
    assert ("first_ms" in line) is stream
    assert line["duration_ms"] >= line["load_ms"]
    assert "cut" not in line


def test_who_left_has_a_line_too(server: Server, slow_model: Path) -> None:
    server.create("slow", slow_model)
    endless = {"model": "slow", "prompt": "Hi", "options": {"num_predict": -1}}
    headers = {"X-Request-Id": "left"}
    with server.asking("POST", "/api/generate", {**endless, "stream": False}, headers):
        until(lambda: server.busy("slow:latest") == 1, "it is worked on")
    line = line_of(server, "left")
    assert (line["status"], line["cut"], line["model"]) == (CLIENT_GONE, True, "slow:latest")


def test_a_path_cannot_break_the_line(server: Server) -> None:
    answer = server.get("/a%0Ab%22%7D?key=hidden")
    line = line_of(server, answer.headers["x-request-id"])
    assert line["route"] == '/a\nb"}'
    assert "hidden" not in server.log.read_text()


def test_text_is_the_default_and_one_line_each() -> None:
    with short_folder() as folder, serving(folder) as server:
        answer = server.get("/a%0Ab%22%7D", {"X-Request-Id": "odd"})
        assert answer.status == 404
        until(lambda: "id=odd" in server.log.read_text(), "the line is written")
        (line,) = [line for line in server.log.read_text().splitlines() if "id=odd" in line]
        assert r'route="/a\nb\"}" status=404' in line
        assert "route=/ " not in server.log.read_text(), "health checks are for debugging"


def test_off_means_no_lines() -> None:
    with short_folder() as folder, serving(folder, TROPA_ACCESS_LOG="off") as server:
        server.get("/api/tags")
        server.signal(signal.SIGTERM)
        server.wait()
        log = server.log.read_text()
    assert f"listening on http://127.0.0.1:{server.port}\n" in log, "the port that was found, not 0"
    assert "/api/tags" not in log


def test_a_long_path_is_cut() -> None:
    exchange = Exchange("x", "GET", "/" + "a" * 5000, "", began=0)
    assert len(record(exchange)["route"]) == 200


def test_no_line_of_the_log_is_the_clients(tmp_path: Path) -> None:
    """Neither of the access log nor of any other, with all there is to say."""
    forged = "x\n2026-01-01 00:00:00,000 INFO    tropa.access: forged\r\u2028\x1b[31m\x85"
    with short_folder() as folder, serving(folder, OLLAMA_DEBUG="1") as server:
        for path in (
            "/api/chat",
            "/api/show",
            "/api/pull",
            "/v1/chat/completions",
            "/v1/messages",
            "/api/create",
        ):
            said = {"messages": [{"role": "user", "content": forged}], "max_tokens": 1, "from": forged}
            server.post(path, {"model": forged, "insecure": True, "stream": False, **said})
            server.get("/api/none" + quote(forged), {"X-Request-Id": "a b", "User-Agent": "forged"})
        server.request("DELETE", "/api/delete", {"model": forged})
        assert server.get("/api/version").status == 200
        log = server.log.read_text()
    began = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+ (DEBUG|INFO|WARNING|ERROR) +tropa\.[\w.]+: ")
    assert [line for line in log.split("\n")[:-1] if not began.match(line)] == []
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]", log)
