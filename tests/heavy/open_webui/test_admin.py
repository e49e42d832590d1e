"""What Open WebUI's administrator does with models: by its own routes, which ask ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.heavy.open_webui.program import WebUI
from tests.registry.debian import docker_registry, executable
from tests.support import models
from tests.support.ear import tone
from tests.support.places import short_folder
from tests.support.processes import until
from tests.support.server import Answer, Server, serving

KEY = "tk-for-the-tests-of-open-webui"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert executable(), "no docker-registry: install Debian's package, or have apt-get download it"
    with docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that wants a key."""
    with short_folder() as folder:
        keys = folder / "keys"
        keys.write_text(f"{KEY}\n")
        keys.chmod(0o600)
        with serving(folder, TROPA_API_KEYS=str(keys)) as server:
            yield server


def right(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return answer.json


def test_what_we_have_and_are_is_passed_on(webui: WebUI, server: Server) -> None:
    ours = server.get("/api/tags").json["models"]
    theirs = right(webui.get("/ollama/api/tags/0"))["models"]
    assert theirs == ours
    assert right(webui.get("/ollama/api/version/0")) == server.get("/api/version").json
    shown = right(webui.post("/ollama/api/show", model="tiny:latest"))
    assert shown["details"]["format"] == "gguf"
    assert shown["capabilities"] == ["completion"]


def test_a_loaded_model_is_shown_as_such_and_unloaded(webui: WebUI, server: Server) -> None:
    asked = {"model": "tiny:latest", "prompt": "Hello!", "stream": False, "options": {"temperature": 0}}
    assert right(webui.post("/ollama/api/generate", asked))["response"]
    (running,) = (each for each in right(webui.get("/ollama/api/ps"))["models"] if "tiny" in each["name"])
    assert running["name"] == "tiny:latest"
    assert running["slots_busy"] == 0
    assert webui.known()["tiny:latest"]["loaded"] is True
    assert right(webui.post("/ollama/api/unload", model="tiny:latest")) == {"status": True}
    until(lambda: "tiny:latest" not in server.ps(), "it is unloaded")
    assert webui.known()["tiny:latest"]["loaded"] is False


def test_models_are_created_copied_and_deleted(webui: WebUI, server: Server) -> None:
    asked = {"model": "polite", "from": "tiny", "system": "Be polite.", "parameters": {"temperature": 0}}
    made = webui.post("/ollama/api/create", asked)
    assert made.lines[-1] == {"status": "success"}
    assert server.post("/api/show", model="polite").json["system"] == "Be polite."
    assert "polite:latest" in webui.known()
    assert right(webui.post("/ollama/api/copy", source="polite:latest", destination="courteous")) is True
    assert "courteous:latest" in webui.known()
    for name in ("polite:latest", "courteous:latest"):
        assert right(webui.request("DELETE", "/ollama/api/delete", {"model": name})) is True
        assert name not in webui.known()
        assert name not in [entry["name"] for entry in server.get("/api/tags").json["models"]]


def test_a_file_becomes_a_model(webui: WebUI, tmp_path: Path) -> None:
    """The upload of Open WebUI's settings: our blobs, then our create."""
    file = models.llama(tmp_path / "handmade.gguf")
    given = webui.give("/ollama/models/upload", file, "application/octet-stream")
    events = [json.loads(line[6:]) for line in given.body.decode().splitlines() if line.startswith("data: ")]
    assert events[-1]["done"] is True, events[-1]
    assert events[-1]["model_created"] == "handmade"
    assert "handmade:latest" in webui.known()


def test_a_model_is_pulled_by_name(webui: WebUI, server: Server, registry: str) -> None:
    name = f"{registry}/library/pulled:latest"
    assert server.post("/api/copy", source="reader", destination=name).status == 200
    assert server.post("/api/push", model=name, insecure=True).lines[-1] == {"status": "success"}
    assert server.request("DELETE", "/api/delete", {"model": name}).status == 200
    assert name not in webui.known()
    assert webui.post("/ollama/api/pull", model=name).lines[-1] == {"status": "success"}
    assert name in webui.known()


def test_what_cannot_be_pulled_is_told(webui: WebUI, registry: str) -> None:
    lines = webui.post("/ollama/api/pull", model=f"{registry}/library/nosuch:latest").lines
    assert lines[-1]["error"] == "pull model manifest: file does not exist"


def test_a_key_is_passed_on_and_a_wrong_one_told(webui: WebUI, guarded: Server) -> None:
    for path, url in (("/ollama/verify", guarded.url), ("/openai/verify", f"{guarded.url}/v1")):
        assert right(webui.post(path, url=url, key=KEY))
        wrong = webui.post(path, url=url, key="tk-another")
        assert wrong.status in (401, 500)
        assert "key" in wrong.body.decode().lower()


@pytest.mark.parametrize("path", ["/ollama/api/embed", "/ollama/v1/embeddings", "/api/embeddings"])
def test_vectors_are_made_by_every_dialect(webui: WebUI, server: Server, path: str) -> None:
    texts = ["the cat sat on the mat", "a kitten", "the stock market"]
    model = "openai.embedder:latest" if path.startswith("/api") else "embedder:latest"
    made = right(webui.post(path, model=model, input=texts))
    vectors = made["embeddings"] if "embeddings" in made else [each["embedding"] for each in made["data"]]
    ours = server.post("/api/embed", model="embedder", input=texts).json["embeddings"]
    assert [[round(number, 4) for number in vector] for vector in vectors] == [
        [round(number, 4) for number in vector] for vector in ours
    ]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_the_other_dialects_pass_through(webui: WebUI, path: str) -> None:
    messages = [{"role": "user", "content": "Hello!"}]
    asked: dict[str, Any] = {"model": "reader:latest", "temperature": 0}
    asked |= {"input": "Hello!"} if path == "/v1/responses" else {"messages": messages, "max_tokens": 50}
    assert "It says noon." in json.dumps(right(webui.post(f"/ollama{path}", asked)))


def test_speech_is_heard(webui: WebUI, tmp_path: Path) -> None:
    """What is said into the microphone."""
    file = tmp_path / "said.wav"
    file.write_bytes(tone())
    assert right(webui.give("/api/v1/audio/transcriptions", file, "audio/wav"))["text"] == "Good noon."
