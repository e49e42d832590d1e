"""How a server ends, and what it says when it cannot even begin. It never leaves a child behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import alive, gone, until
from tests.support.server import PATIENCE, Server, answers, launch, serving, whole

TINY = "tiny:latest"
pytestmark = pytest.mark.usefixtures("no_child_left")
# Some seconds of text: wild sampling with no end token in reach.
LONG: dict[str, Any] = {
    "model": "tiny",
    "raw": True,
    "prompt": "a",
    "format": {"type": "array", "items": {"type": "integer"}, "minItems": 2000},
    "options": {"num_predict": 1500, "temperature": 0},
}


@contextmanager
def answering(server: Server) -> Iterator[Iterator[Any]]:
    """A stream that has begun and will go on for a while."""
    with server.stream("/api/generate", **LONG) as records:
        assert next(records)["done"] is False
        yield records


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_answer_is_finished_and_a_new_one_refused(place: Path, number: signal.Signals) -> None:
    with serving(place) as server:
        assert server.post("/api/generate", model="tiny").status == 200
        with socket.create_connection((server.host, server.port)) as early, answering(server) as records:
            children = server.children()
            assert children
            server.signal(number)
            until(lambda: "stopping" in server.log.read_text() or not connects(server), "it stops listening")
            early.settimeout(PATIENCE)
            early.sendall(b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            said = early.recv(4096)
            assert not said.startswith(b"HTTP/1.1 200")
            *_, last = records
        assert (last["done"], last["done_reason"]) == (True, "length")
        assert server.wait() == 0
        assert not {child for child in children if alive(child)}
        assert not connects(server)


def connects(server: Server) -> bool:
    try:
        socket.create_connection((server.host, server.port)).close()
    except OSError:
        return False
    return True


def test_a_second_signal_cuts_the_answers_off(place: Path) -> None:
    with serving(place) as server, answering(server) as records:
        server.signal(signal.SIGINT)
        until(lambda: not connects(server), "it stops listening")
        server.signal(signal.SIGINT)
        *_, last = records
        assert last.get("done") or "shutting down" in last["error"].lower() or "stop" in last["error"].lower()
        assert server.wait() == 0


def test_a_killed_server_leaves_no_child(place: Path) -> None:
    with serving(place) as server:
        assert server.post("/api/generate", model="tiny").status == 200
        with answering(server):
            children = server.children()
            assert children
            server.signal(signal.SIGKILL)
            assert not {child for child in children if not gone(child, within=2.0)}
        assert server.wait() == -signal.SIGKILL


def test_the_next_server_starts_where_one_was_killed(place: Path) -> None:
    with serving(place) as server:
        assert server.post("/api/generate", model="tiny").status == 200
        server.signal(signal.SIGKILL)
        server.wait()
    with serving(place) as server:
        assert server.post("/api/generate", model="tiny", prompt="Hi!", stream=False).status == 200


def engine(server: Server) -> int:
    """The process that holds the loaded model: the largest of them."""
    return int(max(server.children(), key=lambda child: child.memory_info().rss).pid)


@pytest.mark.parametrize("streamed", [True, False])
def test_an_engine_killed_in_an_answer_is_named_and_the_next_request_works(
    place: Path, streamed: bool
) -> None:
    with serving(place) as server:
        assert server.post("/api/generate", model="tiny").status == 200
        with server.asking("POST", "/api/generate", {**LONG, "stream": streamed}) as connection:
            if streamed:
                response = connection.getresponse()
                assert json.loads(response.readline())["done"] is False
            else:
                until(lambda: server.busy(TINY), "it generates")
            os.kill(engine(server), signal.SIGKILL)
            if streamed:
                error = json.loads(response.read().splitlines()[-1])["error"]
                assert error.startswith("an error was encountered while running the model: ")
            else:
                answer = whole(connection)
                assert answer.status == 500
                error = answer.error
                assert error.startswith("model runner has unexpectedly stopped")
        assert "SIGKILL" in error or "signal 9" in error.lower(), error
        again = server.post("/api/generate", model="tiny", prompt="Hi!", stream=False)
        assert (again.status, again.json["done_reason"]) == (200, "stop")


def refused_start(server: Server) -> list[str]:
    """The lines of a server that did not begin."""
    try:
        assert server.wait(within=20) == 1
    except subprocess.TimeoutExpired:
        server.close()
        raise
    return [line for line in server.log.read_text().splitlines() if line.startswith("Error: ")]


def test_a_taken_port_is_one_line(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (line,) = refused_start(launch(place, OLLAMA_HOST=address))
    assert line.startswith(f"Error: listen tcp {address}: bind: address already in use")


def test_an_address_of_another_machine_is_one_line(place: Path) -> None:
    (line,) = refused_start(launch(place, OLLAMA_HOST="192.0.2.1:11434", TROPA_NO_AUTH="1"))
    assert line.startswith("Error: listen tcp 192.0.2.1:11434: ")


def test_a_file_in_the_way_of_the_models_folder_is_one_line(place: Path) -> None:
    (place / "file").write_text("")
    for models in (place / "file", place / "file" / "models"):
        server = launch(place, OLLAMA_MODELS=str(models))
        (line,) = refused_start(server)
        assert str(models) in line
        assert server.log.read_text().count("\n") <= 2, "no traceback"


def test_all_bad_settings_are_told_a_line_each(place: Path) -> None:
    server = launch(place, OLLAMA_NUM_PARALLEL="many", OLLAMA_HOST="a b", OLLAMA_KEEP_ALIVE="soon")
    lines = refused_start(server)
    assert [line.partition("=")[0] for line in lines] == [
        "Error: OLLAMA_HOST",
        "Error: OLLAMA_KEEP_ALIVE",
        "Error: OLLAMA_NUM_PARALLEL",
    ]
    assert server.log.read_text().splitlines() == lines


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OLLAMA_ORIGINS", "http://*.*", "OLLAMA_ORIGINS"),
        ("TROPA_LLAMA_SERVER", "/no/such/llama-server", "/no/such/llama-server"),
    ],
)
def test_a_setting_that_cannot_be_followed_is_one_line(place: Path, name: str, value: str, said: str) -> None:
    (line,) = refused_start(launch(place, **{name: value}))
    assert said in line


def test_a_signal_in_the_middle_of_a_load_ends_it(place: Path) -> None:
    with serving(place) as server, server.asking("POST", "/api/generate", {"model": "tiny", "prompt": "Hi!"}):
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_signal_before_it_answers_ends_it(place: Path) -> None:
    server = launch(place)
    try:
        until(lambda: server.log.read_text() or answers(server), "it says something")
        server.signal(signal.SIGTERM)
        assert server.wait() in (0, -signal.SIGTERM)
    finally:
        server.close()


def test_an_engine_whose_socket_vanished_is_replaced(place: Path) -> None:
    """It lives, and nobody can ever reach it: programs that tidy up temporary folders do such things."""
    with serving(place) as server:
        assert server.post("/api/generate", model="tiny", prompt="Hello!", stream=False).status == 200
        folders = Path(os.environ["XDG_RUNTIME_DIR"], "tropa").glob(f"{server.process.pid}-*")
        (engine,) = server.children()
        (path,) = (path for folder in folders for path in folder.glob("*.sock"))
        path.unlink()
        refused = server.post("/api/generate", model="tiny", prompt="Hello!", stream=False)
        assert refused.status == 500
        assert "nobody listens at the engine's address" in refused.error
        assert server.post("/api/generate", model="tiny", prompt="Hello!", stream=False).status == 200
        assert gone(engine, within=5)
