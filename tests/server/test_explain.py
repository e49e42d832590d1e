"""On request, the last record of an answer says where its time went."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.places import short_folder
from tests.support.processes import until
from tests.support.server import Server, serving, whole

FEW = {"num_predict": 4, "temperature": 0}
BODIES: dict[str, dict[str, Any]] = {
    "/api/chat": {"model": "tiny", "messages": [{"role": "user", "content": "Hi"}], "options": FEW},
    "/api/generate": {"model": "tiny", "prompt": "Hi", "options": FEW},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One slot, so that a second request has to wait."""
    with short_folder() as folder, serving(folder, OLLAMA_NUM_PARALLEL="1") as server:
        yield server


def final(server: Server, path: str, headers: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    answer = server.request("POST", path, {**BODIES[path], **fields}, headers)
    assert answer.status == 200, answer.body
    records: list[dict[str, Any]] = answer.lines if fields.get("stream", True) else [answer.json]
    assert all("explain" not in record for record in records[:-1])
    return records[-1]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("how", ["field", "header"])
def test_the_explanation_agrees_with_the_record(server: Server, path: str, stream: bool, how: str) -> None:
    header, field = ({"Tropa-Explain": "1"}, {}) if how == "header" else ({}, {"explain": True})
    record = final(server, path, header, stream=stream, **field)
    told = record["explain"]
    assert [*told] == ["queue_ns", "load_ns", "prompt_ns", "cached_tokens", "generation_ns", "runner"]
    assert told["prompt_ns"] == record["prompt_eval_duration"]
    assert told["generation_ns"] == record["eval_duration"]
    assert told["cached_tokens"] == record.get("cached_tokens", 0)
    assert told["queue_ns"] + told["load_ns"] <= record["load_duration"]
    assert told["runner"] >= 1


@pytest.mark.parametrize("path", BODIES)
def test_who_does_not_ask_is_told_nothing(server: Server, path: str) -> None:
    assert "explain" not in final(server, path)
    assert "explain" not in final(server, path, {"Tropa-Explain": "1"}, explain=False)


def test_a_load_and_a_wait_are_told_apart(server: Server, slow_model: Path) -> None:
    server.create("slow", slow_model)
    cold = final(server, "/api/chat", model="slow", explain=True)["explain"]
    assert cold["load_ns"] > cold["queue_ns"]
    endless = {"model": "slow", "prompt": "Hi", "options": {"num_predict": -1, "temperature": 0}}
    body = {**BODIES["/api/chat"], "model": "slow", "explain": True, "stream": False}
    with server.asking("POST", "/api/generate", endless) as holder:
        until(lambda: server.busy("slow:latest") == 1, "the slot is taken")
        with server.asking("POST", "/api/chat", body) as waiter:
            until(lambda: server.ps()["slow:latest"]["waiting"] == 1, "the second waits")
            holder.close()
            queued = whole(waiter).json["explain"]
    assert queued["load_ns"] == 0
    assert queued["queue_ns"] > 0
    assert queued["runner"] == cold["runner"]
