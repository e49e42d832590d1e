"""A client that leaves frees its slot within a second, whatever its request was doing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.places import short_folder
from tests.support.processes import until
from tests.support.server import Server, serving

SLOW = "slow:latest"


@pytest.fixture(scope="module")
def server(slow_model: Path) -> Iterator[Server]:
    """With a model that takes seconds for a long prompt, loaded with one slot."""
    with (
        short_folder() as folder,
        serving(folder, OLLAMA_NUM_PARALLEL="1", OLLAMA_CONTEXT_LENGTH="16384") as server,
    ):
        server.create("slow", slow_model)
        assert server.post("/api/generate", model="slow", keep_alive=-1).json["done_reason"] == "load"
        yield server


def asked(path: str, prompt: str, **fields: Any) -> dict[str, Any]:
    said = (
        {"prompt": prompt} if path == "/api/generate" else {"messages": [{"role": "user", "content": prompt}]}
    )
    return {"model": "slow", **said, **fields}


def worked(server: Server) -> float:
    """Seconds of processor time that the server's engines have used."""
    return float(sum(child.cpu_times().user for child in server.children()))


def soon_free(server: Server) -> None:
    until(lambda: server.busy(SLOW) == 0, "the slot is free", within=1.0)


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
@pytest.mark.parametrize("streamed", [True, False])
def test_in_prompt_processing(
    server: Server, path: str, streamed: bool, request: pytest.FixtureRequest
) -> None:
    # A start of its own, so that nothing of it is in the engine's cache.
    prompt = f"{request.node.name}: " + 5000 * "ba "  # 15,000 tokens
    before = worked(server)
    with server.asking("POST", path, asked(path, prompt, stream=streamed)) as connection:
        until(lambda: worked(server) > before + 0.2, "the prompt is processed")
        assert server.busy(SLOW) == 1
        assert connection.sock is not None
        connection.sock.setblocking(False)
        with pytest.raises(BlockingIOError):  # no word yet, not even that it was refused
            connection.sock.recv(1)
    soon_free(server)
    short = asked("/api/generate", "Hi", options={"num_predict": 1})
    assert server.post("/api/generate", short).status == 200


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
def test_in_a_streamed_generation(server: Server, path: str) -> None:
    endless = {"num_predict": -1, "num_ctx": 16384}
    with server.stream(path, **asked(path, "Hi", options=endless)) as records:
        for _ in range(3):
            assert next(records)["done"] is False
        assert server.busy(SLOW) == 1
    soon_free(server)


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
def test_in_a_generation_whose_whole_was_awaited(server: Server, path: str) -> None:
    with server.asking("POST", path, asked(path, "Hi", stream=False, options={"num_predict": -1})):
        until(lambda: server.busy(SLOW) == 1, "the model generates")
    soon_free(server)


def test_in_the_queue_for_a_slot(server: Server) -> None:
    """Who waits is forgotten too, and those behind it are not."""
    with server.asking("POST", "/api/generate", asked("/api/generate", "Hi", options={"num_predict": -1})):
        until(lambda: server.busy(SLOW) == 1, "the first has the slot")
        with server.asking("POST", "/api/chat", asked("/api/chat", "Hi")):
            until(lambda: server.ps()[SLOW]["waiting"] == 1, "the second waits")
        until(lambda: server.ps()[SLOW]["waiting"] == 0, "the second is forgotten", within=1.0)
        assert server.busy(SLOW) == 1
    soon_free(server)


def test_while_the_model_is_loaded(server: Server) -> None:
    assert server.post("/api/generate", model="slow", keep_alive=0).json["done_reason"] == "unload"
    with server.asking("POST", "/api/generate", asked("/api/generate", "Hi")):
        pass
    answer = server.post(
        "/api/generate", **asked("/api/generate", "Hi", keep_alive=-1, options={"num_predict": 1})
    )
    assert answer.status == 200
    soon_free(server)


def test_with_only_half_of_its_request_sent(server: Server) -> None:
    import http.client

    connection = http.client.HTTPConnection(server.host, server.port)
    connection.putrequest("POST", "/api/generate")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b'{"model":')
    connection.close()
    assert server.get("/").status == 200
