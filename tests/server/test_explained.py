"""Every route that asks a model can say where the time went, in its dialect's last word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import models
from tests.support.places import short_folder
from tests.support.processes import until
from tests.support.server import Server, serving, whole
from tests.support.sse import frames

HI = [{"role": "user", "content": "Hi"}]
KEYS = ["queue_ns", "load_ns", "prompt_ns", "cached_tokens", "generation_ns", "runner"]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "tiny", "messages": HI, "max_tokens": 4},
    "/v1/completions": {"model": "tiny", "prompt": "Hi", "max_tokens": 4},
    "/v1/responses": {"model": "tiny", "input": "Hi", "max_output_tokens": 4},
    "/v1/messages": {"model": "tiny", "messages": HI, "max_tokens": 4},
    "/v1/messages/count_tokens": {"model": "tiny", "messages": HI},
    "/v1/responses/input_tokens": {"model": "tiny", "input": "Hi"},
    "/v1/embeddings": {"model": "bert", "input": ["a", "b"]},
    "/v1/rerank": {"model": "rank", "query": "a", "documents": ["b", "c"]},
    "/api/embed": {"model": "bert", "input": ["a", "b"]},
    "/api/embeddings": {"model": "bert", "prompt": "a"},
    "/api/rerank": {"model": "rank", "query": "a", "documents": ["b", "c"]},
}
STREAMED = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"]
SEVERAL = STREAMED[:2]
USAGE = {"stream_options": {"include_usage": True}}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One slot, so that a second request has to wait."""
    with short_folder() as folder, serving(folder, OLLAMA_NUM_PARALLEL="1") as server:
        server.create("bert", models.bert(folder / "bert.gguf"))
        server.create("rank", models.bert(folder / "rank.gguf", pooling=4))
        yield server


def asked(server: Server, path: str, *, header: bool = False, **fields: Any) -> Any:
    """The answer; of a stream, its frames."""
    headers = {"Tropa-Explain": "1"} if header else {}
    answer = server.request("POST", path, {**BODIES[path], **fields}, headers)
    assert answer.status == 200, answer.body
    if not fields.get("stream"):
        return answer.json
    return [frame.data for frame in frames(answer.body) if frame.data != "[DONE]"]


def explanation(path: str, records: list[Any]) -> Any:
    """Of a stream: in its last frame that says anything, and in no other."""
    if path == "/v1/responses":
        records = [record.get("response", {}) for record in records]
    elif path == "/v1/messages":
        assert records[-1] == {"type": "message_stop"}
        records = records[:-1]
    assert not any("explain" in record for record in records[:-1])
    return records[-1]["explain"]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("how", ["field", "header"])
def test_an_answer_says_where_its_time_went(server: Server, path: str, how: str) -> None:
    answer = asked(server, path, header=True) if how == "header" else asked(server, path, explain=True)
    told = answer["explain"]
    assert [*told] == KEYS
    assert told["runner"] >= 1
    assert all(isinstance(told[key], int) and told[key] >= 0 for key in KEYS)
    if path in STREAMED:
        assert told["generation_ns"] > 0
    if "input_tokens" not in answer:  # counting reads no prompt
        assert told["prompt_ns"] > 0


@pytest.mark.parametrize("path", BODIES)
def test_who_does_not_ask_is_told_nothing(server: Server, path: str) -> None:
    assert "explain" not in asked(server, path)
    assert "explain" not in asked(server, path, header=True, explain=False)


@pytest.mark.parametrize(
    ("path", "more"),
    [*((path, {}) for path in STREAMED), *((path, more) for path in SEVERAL for more in (USAGE, {"n": 2}))],
    ids=str,
)
def test_a_stream_says_it_at_its_end(server: Server, path: str, more: dict[str, Any]) -> None:
    told = explanation(path, asked(server, path, stream=True, explain=True, **more))
    assert [*told] == KEYS
    assert told["prompt_ns"] > 0
    assert not any("explain" in record for record in asked(server, path, stream=True, **more))


@pytest.mark.parametrize("path", BODIES)
def test_the_wish_is_yes_or_no(server: Server, path: str) -> None:
    answer = server.post(path, {**BODIES[path], "explain": "please"})
    assert answer.status == 400
    assert b"explain" in answer.body


@pytest.mark.parametrize("path", STREAMED)
def test_a_load_and_a_wait_are_told_apart(server: Server, path: str) -> None:
    server.post("/api/generate", model="tiny", keep_alive=0)
    until(lambda: not server.ps().get("tiny:latest"), "the model has left")
    cold = asked(server, path, explain=True)["explain"]
    assert cold["load_ns"] > cold["queue_ns"]
    schema = {"type": "array", "items": {"type": "integer"}, "minItems": 1000}
    endless = {"model": "tiny", "prompt": "Hi", "format": schema, "options": {"num_predict": 1500}}
    with server.asking("POST", "/api/generate", endless) as holder:
        until(lambda: server.busy("tiny:latest") == 1, "the slot is taken")
        with server.asking("POST", path, {**BODIES[path], "explain": True}) as waiter:
            until(lambda: server.ps()["tiny:latest"]["waiting"] == 1, "the second waits")
            holder.close()
            queued = whole(waiter).json["explain"]
    assert queued["load_ns"] == 0
    assert queued["queue_ns"] > 0
    assert queued["runner"] == cold["runner"]
