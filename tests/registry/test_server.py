"""`/api/pull`, `/api/push` and their commands, with a real server between a user and a real registry."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.registry.conftest import Published, add_model, nobody, noise
from tests.registry.debian import PASSWORD, USER, docker_registry, htpasswd
from tests.registry.faults import Faulty
from tests.registry.web import Ask, Reply
from tests.support.processes import until
from tests.support.server import Server, serving
from tropa.library import manifest
from tropa.library.digest import Digest
from tropa.library.library import Library
from tropa.registry.credentials import Store
from tropa.registry.identity import Identity
from tropa.registry.limits import Limits
from tropa.registry.partial import Partial
from tropa.registry.registry import Registry


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def environ(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "DOCKER_CONFIG": str(home / "docker"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }


@pytest.fixture(scope="module")
def server(home: Path, environ: dict[str, str]) -> Iterator[Server]:
    with serving(home, **environ, OLLAMA_MODELS=str(home / "models")) as server:
        yield server


def tropa(
    server: Server, environ: dict[str, str], *words: str, piped: str = ""
) -> subprocess.CompletedProcess[str]:
    settings = {"OLLAMA_HOST": f"127.0.0.1:{server.port}", **environ}
    return subprocess.run(
        [sys.executable, "-m", "tropa", *words],
        input=piped, capture_output=True, text=True, timeout=60, check=False, env=os.environ | settings,
    )  # fmt: skip


def test_pull_streams_what_clients_know(server: Server, registry: str, published: Published) -> None:
    answer = server.post("/api/pull", model=f"{registry}/team/small")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = answer.lines
    assert lines[0] == {"status": "pulling manifest"}
    assert lines[-3:] == [
        {"status": "verifying sha256 digest"}, {"status": "writing manifest"}, {"status": "success"},
    ]  # fmt: skip
    layers = [line for line in lines if "digest" in line]
    assert all(line["status"] == f"pulling {line['digest'][7:19]}" for line in layers)
    assert all(line.get("completed") != 0 for line in lines), "zero stays away"
    assert {line["digest"] for line in layers if line.get("completed") == line["total"]} == {
        line["digest"] for line in layers
    }
    assert server.post("/api/show", model=f"{registry}/team/small").json["system"] == "be brief"


@pytest.mark.parametrize("key", ["model", "name"])
def test_without_a_stream_there_is_one_object(
    server: Server, registry: str, published: Published, key: str
) -> None:
    answer = server.post("/api/pull", {key: f"{registry}/team/small", "stream": False})
    assert (answer.status, answer.json) == (200, {"status": "success"})


def test_errors_are_the_last_line_or_a_status(server: Server, registry: str) -> None:
    answer = server.post("/api/pull", model=f"{registry}/team/nothing")
    assert answer.status == 200
    assert answer.lines == [
        {"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"},
    ]  # fmt: skip
    answer = server.post("/api/pull", model=f"{registry}/team/nothing", stream=False)
    assert (answer.status, answer.error) == (500, "pull model manifest: file does not exist")


@pytest.mark.parametrize(
    ("path", "body", "status", "error"),
    [
        ("/api/pull", {}, 400, "invalid model name"),
        ("/api/push", {"model": " "}, 400, "model is required"),
        ("/api/pull", {"model": "../../x"}, 400, "invalid model name"),
        ("/api/pull", {"model": "x", "insecure": "yes"}, 400, None),
        ("/api/pull", {"model": "x:cloud"}, 403, None),
    ],
)
def test_bad_requests(
    server: Server, path: str, body: dict[str, Any], status: int, error: str | None
) -> None:
    answer = server.post(path, body)
    assert answer.status == status
    if error is not None:
        assert answer.error == error


def test_a_model_made_here_goes_there_and_comes_back(server: Server, registry: str) -> None:
    name = f"{registry}/team/tiny"
    assert server.post("/api/copy", source="tiny", destination=name).status == 200
    lines = server.post("/api/push", model=name).lines
    assert lines[0] == {"status": "retrieving manifest"}
    assert lines[-2:] == [{"status": "pushing manifest"}, {"status": "success"}]
    digest = next(
        entry["digest"] for entry in server.get("/api/tags").json["models"] if entry["name"].startswith(name)
    )
    server.request("DELETE", "/api/delete", {"model": name})
    server.post("/api/pull", model=name, stream=False)
    tags = {entry["name"]: entry["digest"] for entry in server.get("/api/tags").json["models"]}
    assert tags[f"{name}:latest"] == digest
    answer = server.post("/api/generate", model=name, prompt="", stream=False)
    assert answer.status == 200, "it loads"


def test_the_model_that_came_with_the_program_comes_back_without_a_registry(server: Server) -> None:
    server.request("DELETE", "/api/delete", {"model": "tiny"})
    assert server.post("/api/show", model="tiny").status == 404
    assert server.post("/api/pull", model="tiny").lines == [
        {"status": "pulling manifest"},
        {"status": "success"},
    ]
    assert server.post("/api/show", model="tiny").status == 200


def test_pushing_what_is_not_here_is_said(server: Server, registry: str) -> None:
    lines = server.post("/api/push", model=f"{registry}/team/nowhere").lines
    assert [line.get("status") for line in lines] == [
        "retrieving manifest",
        "couldn't retrieve manifest",
        None,
    ]
    assert "not found" in lines[-1]["error"]


def test_create_fetches_a_base_that_is_not_here(server: Server, registry: str, published: Published) -> None:
    server.request("DELETE", "/api/delete", {"model": f"{registry}/team/small"})
    lines = server.post(
        "/api/create", model="derived", **{"from": f"{registry}/team/small"}, system="mine"
    ).lines
    statuses = [line["status"] for line in lines]
    assert statuses[0] == "pulling manifest"
    assert statuses.count("success") == 1
    assert statuses[-1] == "success"
    assert server.post("/api/show", model="derived").json["system"] == "mine"


def test_a_client_that_leaves_stops_its_pull(
    server: Server, home: Path, proxy: Faulty, published: Published
) -> None:
    _stall(proxy, published.digest, 20_000)
    name = f"{proxy.host}/team/large"
    server.request("DELETE", "/api/delete", {"model": name})
    with server.stream("/api/pull", model=name) as records:
        next(record for record in records if record.get("completed", 0) == 20_000)
    blobs = Library(home / "models").store.blobs

    def released() -> bool:
        partial = Partial.open(blobs, published.digest, 300_001, 64_000_000, 1)
        if partial is not None:
            partial.close()
        return partial is not None

    until(released, "nobody holds the unfinished file any more", within=5)
    proxy.web.released.set()
    proxy.spoil = lambda ask, reply: reply
    assert server.post("/api/pull", model=name, stream=False).json == {"status": "success"}
    last = [ask.headers.get("Range") for ask in proxy.blobs() if str(published.digest) in ask.path][-1]
    assert last == "bytes=20000-300000"
    server.request("DELETE", "/api/delete", {"model": name})


BIG = noise(12_000_000, seed=30)


@pytest.fixture
def big(proxy: Faulty, tmp_path: Path) -> str:
    """A model large enough for its state to be written down on the way."""
    library = Library(tmp_path / "publisher")
    name = f"{proxy.host}/team/big"
    add_model(library, name, (manifest.MODEL, BIG))
    client = Registry(library, Limits(), identity=Identity(tmp_path / "key"), keyring=nobody(tmp_path))
    for _ in client.push(name):
        pass
    client.close()
    return name


def test_a_pull_survives_the_death_of_the_server(
    place: Path, environ: dict[str, str], proxy: Faulty, big: str
) -> None:
    _stall(proxy, Digest.of(BIG), 9_000_000)
    with serving(place, **environ) as server, server.stream("/api/pull", model=big) as records:
        next(record for record in records if record.get("completed", 0) > 8_400_000)
        server.signal(signal.SIGKILL)
        server.wait()
    proxy.web.released.set()
    proxy.spoil = lambda ask, reply: reply
    with serving(place, **environ) as server:
        assert [entry for entry in server.get("/api/tags").json["models"] if "big" in entry["name"]] == []
        first = next(line for line in server.post("/api/pull", model=big).lines if "digest" in line)
        assert first["completed"] > 4_000_000
        asked = proxy.blobs()
        assert any(int(ask.headers.get("Range", "bytes=0-")[6:].split("-")[0]) > 4_000_000 for ask in asked)
        assert server.post("/api/pull", model=big, stream=False).json == {"status": "success"}


def test_a_server_that_is_told_to_stop_does_not_wait_for_a_pull(
    place: Path, environ: dict[str, str], proxy: Faulty, big: str
) -> None:
    _stall(proxy, Digest.of(BIG), 9_000_000)
    with serving(place, **environ) as server, server.stream("/api/pull", model=big) as records:
        next(record for record in records if record.get("completed", 0) > 8_400_000)
        began = time.monotonic()
        server.signal(signal.SIGTERM)
        assert "cancelled" in [*records][-1]["error"]
        server.wait()
        assert time.monotonic() - began < 8


def test_the_official_client_pulls_and_pushes(server: Server, registry: str, published: Published) -> None:
    import ollama

    name = f"{registry}/team/client"
    with ollama.Client(host=server.url) as client:
        client.copy("tiny", name)
        pushed = [progress.status for progress in client.push(name, stream=True)]
        assert (pushed[0], pushed[-1]) == ("retrieving manifest", "success")
        client.delete(name)
        progress = [*client.pull(name, stream=True)]
        assert progress[-1].status == "success"
        weights = [each for each in progress if each.total and each.total > 1_000_000]
        assert weights[-1].completed == weights[-1].total
        assert client.pull(name).status == "success"
        with pytest.raises(ollama.ResponseError, match="pull model manifest: file does not exist"):
            client.pull(f"{registry}/team/nothing")


def test_the_pull_command(
    server: Server, environ: dict[str, str], registry: str, published: Published
) -> None:
    server.request("DELETE", "/api/delete", {"model": f"{registry}/team/large"})
    sizes = tropa(server, environ, "pull", "--dry-run", f"{registry}/team/large")
    assert sizes.stdout.splitlines()[0].split() == ["LAYER", "TYPE", "SIZE", "TO", "FETCH"]
    assert f"{published.digest.hex[:12]}    model     300 KB    300 KB" in sizes.stdout
    assert sizes.stdout.splitlines()[-1] == "300 KB in all, 300 KB to fetch"
    ended = tropa(server, environ, "pull", f"{registry}/team/large")
    assert (ended.returncode, ended.stdout) == (0, "")
    lines = ended.stderr.splitlines()
    assert lines[0] == "pulling manifest"
    assert f"pulling {published.digest.hex[:12]}: 300 KB" in lines
    assert lines[-1] == "success"
    assert "\x1b" not in ended.stderr, "a pipe is no terminal"


def test_the_pull_command_for_a_model_that_is_nowhere(
    server: Server, environ: dict[str, str], registry: str
) -> None:
    ended = tropa(server, environ, "pull", f"{registry}/team/nothing")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "Error: pull model manifest: file does not exist"


def test_run_fetches_a_model_that_is_not_here(server: Server, environ: dict[str, str], registry: str) -> None:
    name = f"{registry}/team/fetched"
    tropa(server, environ, "cp", "tiny", name)
    tropa(server, environ, "push", name)
    server.request("DELETE", "/api/delete", {"model": name})
    ended = tropa(server, environ, "run", name, "What is the capital of France?")
    assert "Paris" in ended.stdout
    assert "pulling manifest" in ended.stderr
    missing = tropa(server, environ, "run", f"{registry}/team/nothing", "hello")
    assert missing.returncode == 1
    assert "Error: pull model manifest: file does not exist" in missing.stderr


def test_the_push_command_says_where_the_model_is(
    server: Server, environ: dict[str, str], registry: str
) -> None:
    name = f"{registry}/team/pushed"
    tropa(server, environ, "cp", "tiny", name)
    ended = tropa(server, environ, "push", name)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"\nYou can find your model at:\n\n\t{name}:latest\n"


def test_login_and_logout(
    server: Server, environ: dict[str, str], home: Path, debian: None, tmp_path: Path
) -> None:
    """The server that runs already uses what was logged in just now."""
    with docker_registry(tmp_path, htpasswd(tmp_path)) as host:
        words = ("login", host, "--username", USER, "--password-stdin")
        wrong = tropa(server, environ, *words, piped="sentinel-wrong\n")
        assert wrong.returncode == 1
        assert "Error: unauthorized: access denied" in wrong.stderr
        assert "sentinel" not in wrong.stderr + wrong.stdout
        name = f"{host}/team/mine"
        tropa(server, environ, "cp", "tiny", name)
        assert tropa(server, environ, "push", name).returncode == 1
        right = tropa(server, environ, *words, piped=f"{PASSWORD}\n")
        assert (
            right.stdout == f"logged in to {host} as {USER} (kept in {home}/config/tropa/credentials.json)\n"
        )
        assert tropa(server, environ, "push", name).returncode == 0
        assert tropa(server, environ, "logout", host).stdout == f"logged out of {host}\n"
        assert Store(home / "config/tropa/credentials.json").hosts() == []
        assert tropa(server, environ, "push", name).returncode == 1
        assert tropa(server, environ, "logout", host).stdout == f"not logged in to {host}\n"
    assert "sentinel" not in server.log.read_text()


def test_login_shows_the_key_where_keys_are_known(
    server: Server, environ: dict[str, str], home: Path
) -> None:
    ended = tropa(server, environ, "login")
    key = (home / ".ollama/id_ed25519.pub").read_text().strip()
    assert key in ended.stdout
    assert "registry.ollama.ai knows you by your key" in ended.stdout


@pytest.mark.parametrize("host", ["a b", "../..", "host/path", "https://"])
def test_login_wants_a_host(server: Server, environ: dict[str, str], host: str) -> None:
    ended = tropa(server, environ, "login", host, "--username", "u", "--password-stdin", piped="p")
    assert ended.returncode == 1
    assert "is no registry's host name" in ended.stderr


def _stall(proxy: Faulty, digest: Digest, at: int) -> None:
    def spoil(ask: Ask, reply: Reply) -> Reply:
        if ask.method == "GET" and str(digest) in ask.path and not proxy.web.released.is_set():
            reply.stall = at
        return reply

    proxy.spoil = spoil


def test_the_bundled_model_is_pushed_under_a_name_of_ones_own(server: Server) -> None:
    answer = server.post("/api/push", model="tiny", stream=False)
    assert answer.status == 500
    assert "came with the program" in answer.error
    assert "tropa cp tiny:latest NAMESPACE/NAME" in answer.error
