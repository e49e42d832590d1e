"""Spoilt models that look sound, through the real server and the real engine: each ends in an answer or in a reason,
and costs nobody else anything.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gguf.raw import ARRAY, BOOL, F32, FORMS, STRING, U32
from tests.support import models
from tests.support.processes import patience
from tests.support.server import Answer, Server
from tropa.gguf import read

MUTANTS = 30
SLOW = 40.0  # seconds for one, with the engine's start and its last words
NUMBERS = (0, 1, 2, 3, 7, 31, 65, 4096, 10**6, 2**31 - 1, 2**31, 2**32 - 1)
FLOATS = (0.0, -1.0, 1e38, float("nan"), float("inf"), 1e-30)
QUESTION = {"model": "tiny", "prompt": "What is the capital of France?", "stream": False}
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models.llama(tmp_path_factory.mktemp("good") / "good.gguf", layers=1, width=64, vocab=512)


def asked(server: Server, model: str) -> Answer:
    options = {"num_predict": 3, "num_ctx": 256}
    fields = {"model": model, "prompt": "hello", "raw": True, "stream": False, "keep_alive": 0}
    return server.post("/api/generate", fields | {"options": options})


def plant(server: Server, name: str, data: bytes) -> Path:
    """A model that another program put into the folder. The path of its weights."""
    blobs = server.models / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)

    def layer(kind: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (blobs / f"sha256-{digest}").write_bytes(content)
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(content)}

    config = layer("application/vnd.docker.container.image.v1+json", b'{"model_format": "gguf"}')
    weights = layer("application/vnd.ollama.image.model", data)
    made = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [weights]}
    path = server.models / "manifests/registry.ollama.ai/library" / name / "latest"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(made))
    return blobs / f"sha256-{hashlib.sha256(data).hexdigest()}"


def renamed(data: bytes, architecture: str) -> bytes:
    """The same file of another architecture. Its keys keep their names."""
    at = data.index(b"general.architecture") + len("general.architecture") + 4
    (length,) = struct.unpack_from("<Q", data, at)
    return data[:at] + struct.pack("<Q", len(architecture)) + architecture.encode() + data[at + 8 + length :]


def spoilt(good: Path, chance: random.Random) -> tuple[str, bytes]:
    """The file with one value of its metadata changed in its place, so that its form stays right."""
    data = bytearray(good.read_bytes())
    key = chance.choice([key for key in read(good).metadata if key != "general.architecture"])
    at = data.index(struct.pack("<Q", len(key)) + key.encode()) + 8 + len(key) + 4
    (kind,) = struct.unpack_from("<I", data, at - 4)
    if kind == ARRAY:
        inner, length = struct.unpack_from("<IQ", data, at)
        first = at + 12
        if inner == STRING:
            data[first + 8] = chance.randrange(256)
        else:
            size = struct.calcsize(FORMS[inner])
            place = first + size * chance.randrange(length)
            data[place : place + size] = chance.randbytes(size)
        return f"{key}[]", bytes(data)
    if kind == STRING:
        (length,) = struct.unpack_from("<Q", data, at)
        data[at + 8 + chance.randrange(length)] = chance.choice(b"abz019\n{}%")
        return f"{key} (text)", bytes(data)
    if kind == BOOL:
        data[at] ^= 1
        return f"{key} (flag)", bytes(data)
    assert kind in (F32, U32), key
    value = chance.choice(FLOATS) if kind == F32 else chance.choice(NUMBERS)
    data[at : at + 4] = struct.pack("<" + FORMS[kind], value)
    return f"{key} = {value}", bytes(data)


@pytest.fixture
def unharmed(server: Server) -> Iterator[Server]:
    """Whatever was asked of it: the server answers others as before."""
    yield server
    answer = server.post("/api/generate", QUESTION)
    assert answer.json["response"] == "The capital of France is Paris."


def test_every_spoilt_model_gives_an_answer_or_a_reason(unharmed: Server, good: Path) -> None:
    chance = random.Random(1)
    answered = refused = 0
    for number in range(MUTANTS):
        what, data = spoilt(good, chance)
        start = time.monotonic()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert unharmed.post(f"/api/blobs/{digest}", data).status in (200, 201)
        answer = unharmed.post("/api/create", model="x", files={"x.gguf": digest}, stream=False)
        if answer.status == 200:
            answer = asked(unharmed, "x")
        if answer.status == 200:
            answered += 1
        else:
            refused += 1
            assert answer.status in (400, 500), f"mutant {number}, {what}: {answer.status} {answer.body!r}"
            assert answer.error, what
            assert len(answer.error) < 3000, what
        assert time.monotonic() - start < patience(SLOW), f"mutant {number}, {what}"
    assert answered >= MUTANTS / 6
    assert refused >= MUTANTS / 6


@pytest.mark.parametrize(
    ("architecture", "says"),
    [
        ("gptoss", "a file of gpt-oss that was made for another engine"),
        ("qwen99", " others: qwen"),
    ],
)
def test_an_architecture_that_only_another_engine_knows_is_named_with_what_to_do(
    unharmed: Server, good: Path, architecture: str, says: str
) -> None:
    """It is in the folder of an existing installation, so create never saw it."""
    plant(unharmed, "foreign", renamed(good.read_bytes(), architecture))
    answer = asked(unharmed, "foreign")
    assert answer.status == 400
    assert f'unsupported architecture "{architecture}"' in answer.error
    assert says in answer.error
    assert "llama.cpp" in answer.error or "TROPA_LLAMA_SERVER" in answer.error
    assert (
        unharmed.post("/api/show", model="foreign").json["model_info"]["general.architecture"] == architecture
    )


def test_weights_cut_short_under_a_running_answer_end_it_with_a_reason(
    unharmed: Server, tmp_path: Path
) -> None:
    """Something else than a server writes to a blob, say a backup that is put back. What is mapped is gone."""
    path = models.llama(tmp_path / "large.gguf", layers=8, width=512, vocab=4000)
    weights = plant(unharmed, "cut", path.read_bytes())
    options = {"num_predict": 2000, "num_ctx": 4096, "use_mmap": True}
    with unharmed.stream("/api/generate", model="cut", prompt="a", raw=True, options=options) as records:
        assert next(records)["done"] is False
        os.truncate(weights, 1 << 20)
        *_, last = records
    assert "an error was encountered while running the model" in last["error"]
    for _ in range(2):
        answer = asked(unharmed, "cut")
        assert answer.status == 500
        assert "the file is cut short" in answer.error
        assert "make it anew" in answer.error
