"""Creating models over HTTP from bytes nobody can trust: what is wrong is said, and nothing is registered."""

from __future__ import annotations

import hashlib
import signal
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import models
from tests.support.places import short_folder
from tests.support.processes import gone, until
from tests.support.server import Answer, Server, answers, launch, serving

ABSENT = "sha256:" + 64 * "0"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with short_folder() as folder, serving(folder) as server:
        yield server
        assert [entry["name"] for entry in server.get("/api/tags").json["models"]] == ["tiny:latest"]
        answer = server.post("/api/generate", model="tiny", prompt="Hi!", stream=False)
        assert answer.status == 200, "after all this the server is unharmed"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return models.llama(tmp_path_factory.mktemp("good") / "good.gguf").read_bytes()


def create(server: Server, data: bytes, *, stream: bool) -> Answer:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert server.post(f"/api/blobs/{digest}", data).status in (200, 201)
    return server.post("/api/create", model="bad", files={"bad.gguf": digest}, stream=stream)


def refused(server: Server, data: bytes) -> str:
    """The error: a status for who wants one object, the last line for who wants a stream."""
    whole = create(server, data, stream=False)
    assert (whole.status, whole.headers["Content-Type"]) == (400, "application/json")
    streamed = create(server, data, stream=True)
    assert streamed.status == 200
    assert [*streamed.lines[-1]] == ["error"]
    assert streamed.lines[-1]["error"] == whole.error
    assert server.post("/api/show", model="bad").status == 404
    return whole.error


CUTS = (1, 3, 4, 8, 16, 23, 24, 25, 100, 1000, 20_000, 0.25, 0.5, 0.9, -1)


@pytest.mark.parametrize("cut", CUTS)
def test_a_file_cut_short(server: Server, good: bytes, cut: float) -> None:
    end = int(cut * len(good)) if isinstance(cut, float) else cut
    error = refused(server, good[:end])
    assert error.startswith("bad.gguf: "), "which file"
    assert "cut short" in error or "are left" in error, error


def header(version: int = 3, tensors: int = 0, keys: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, keys)


BAD = {
    "an empty file": (b"", "not in GGUF format"),
    "a text": (b"<html>404 not found</html>" * 10, "not in GGUF format"),
    "zeros": (bytes(4096), "not in GGUF format"),
    "an absurd number of tensors": (header(tensors=1 << 60) + bytes(4096), "1152921504606846976 tensors"),
    "an absurd number of keys": (header(keys=1 << 62) + bytes(4096), "4611686018427387904"),
    "an absurd length of a key": (
        header(keys=1) + struct.pack("<Q", 1 << 50) + bytes(4096),
        "1125899906842624",
    ),
    "a version from the future": (header(version=99) + bytes(4096), "version 99"),
    "no architecture": (header() + bytes(4096), "architecture"),
}


@pytest.mark.parametrize("name", BAD)
def test_no_model_at_all(server: Server, name: str) -> None:
    data, said = BAD[name]
    assert said in refused(server, data)


def test_an_architecture_that_the_engine_does_not_know(server: Server, good: bytes) -> None:
    error = refused(server, good.replace(b"llama", b"lxama"))
    assert error.startswith('unsupported architecture "lxama"'), error


HUGE = 10**400
"""JSON's whole numbers have no end, and a float has."""


@pytest.mark.parametrize(("key", "wanted"), [("num_ctx", "a whole number"), ("temperature", "a number")])
def test_a_parameter_larger_than_any_float(server: Server, key: str, wanted: str) -> None:
    answer = server.post("/api/create", {"model": "bad", "from": "tiny", "parameters": {key: HUGE}})
    assert answer.status == 400
    assert answer.error.startswith(f"parameter '{key}' must be {wanted}, not number")


REQUESTS: list[tuple[dict[str, Any], int, str]] = [
    ({"model": "bad"}, 400, "neither 'from' or 'files' was specified"),
    ({"model": "bad", "files": {}}, 400, "unknown type (files is empty)"),
    ({"model": "", "from": "tiny"}, 400, "invalid model name"),
    ({"model": "bad name", "from": "tiny"}, 400, "invalid model name"),
    ({"model": "bad", "from": "bad name"}, 400, "invalid model name"),
    ({"model": "bad", "files": {"a.gguf": ABSENT}}, 404, f'blob "{ABSENT}" not found'),
    ({"model": "bad", "files": {"a.gguf": "zz"}}, 400, "invalid digest format"),
    ({"model": "bad", "files": {"../a.gguf": ABSENT}}, 400, "file path must be relative"),
    ({"model": "bad", "files": {"/a.gguf": ABSENT}}, 400, "file path must be relative"),
    (
        *({"model": "bad", "from": "tiny", "info": {"context_length": HUGE}}, 400),
        'info field "context_length" must be a non-negative integer',
    ),
]


@pytest.mark.parametrize(("body", "status", "error"), REQUESTS, ids=str)
def test_a_request_that_cannot_be_followed(
    server: Server, body: dict[str, Any], status: int, error: str
) -> None:
    answer = server.post("/api/create", body | {"stream": False})
    assert (answer.status, answer.error) == (status, error)
    streamed = server.post("/api/create", body)
    assert streamed.lines[-1] == {"error": error} if streamed.status == 200 else streamed.error == error


def test_a_base_that_is_not_here_is_pulled_first(server: Server) -> None:
    nowhere = "127.0.0.1:1/library/nosuch"  # nothing listens there
    streamed = server.post("/api/create", {"model": "bad", "from": nowhere})
    assert streamed.lines[0] == {"status": "pulling manifest"}
    assert streamed.lines[-1]["error"].startswith("pull model manifest: ")
    assert "127.0.0.1:1" in streamed.lines[-1]["error"]
    assert server.post("/api/create", {"model": "bad", "from": nowhere, "stream": False}).status >= 400


@pytest.mark.parametrize("field", ["quantize", "quantization"])
def test_quantizing_what_is_packed_already_is_refused(server: Server, field: str) -> None:
    answer = server.post("/api/create", {"model": "bad", "from": "tiny", field: "Q4_K_M", "stream": False})
    assert answer.status == 400
    assert answer.error.startswith("quantization is only supported for F16, BF16 and F32 models")
    answer = server.post("/api/create", {"model": "bad", "from": "tiny", field: "Q4_K_X", "stream": False})
    assert answer.status == 400
    assert answer.error.startswith("unsupported quantization type Q4_K_X - supported types are F32")


def test_a_client_that_leaves_ends_the_quantizing(server: Server, tmp_path: Path) -> None:
    big = models.llama(tmp_path / "big.gguf", width=1024, layers=8, heads=8, vocab=4000)
    files = {"big.gguf": server.upload(big)}
    before = server.children()
    with server.stream("/api/create", model="bad", files=files, quantize="IQ3_S") as records:
        assert next(r for r in records if r.get("completed"))["status"] == "quantizing F16 model to IQ3_S"
        (worker,) = server.children() - before
    assert gone(worker, within=10)
    until(lambda: not list((server.models / "blobs").glob(".tropa-*")), "what was half made is removed")
    assert server.post("/api/show", model="bad").status == 404


def test_a_server_that_is_killed_takes_the_quantizer_along(tmp_path: Path) -> None:
    big = models.llama(tmp_path / "big.gguf", width=1024, layers=8, heads=8, vocab=4000)
    with short_folder() as folder:
        server = launch(folder)
        until(lambda: answers(server), "the server answers")
        files = {"big.gguf": server.upload(big)}
        before = server.children()
        with server.stream("/api/create", model="bad", files=files, quantize="IQ3_S") as records:
            next(record for record in records if record.get("completed"))
            (worker,) = server.children() - before
            server.signal(signal.SIGKILL)
            server.wait()
        assert gone(worker, within=10)
        with serving(folder) as again:
            assert again.post("/api/show", model="bad").status == 404


# Blobs.


def test_an_upload_that_is_something_else_is_refused(server: Server) -> None:
    answer = server.post(f"/api/blobs/{ABSENT}", b"something else")
    got = hashlib.sha256(b"something else").hexdigest()
    assert (answer.status, answer.error) == (400, f'digest mismatch, expected "{ABSENT}", got "sha256:{got}"')
    assert server.request("HEAD", f"/api/blobs/{ABSENT}").status == 404


def test_a_blob_is_there_once_it_was_uploaded(server: Server) -> None:
    data = b"x" * (3 << 20)  # several pieces
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert server.request("HEAD", f"/api/blobs/{digest}").status == 404
    assert [server.post(f"/api/blobs/{digest}", data).status for _ in range(2)] == [201, 200]
    for spelling in (digest, digest.replace(":", "-")):
        head = server.request("HEAD", f"/api/blobs/{spelling}")
        assert (head.status, head.body) == (200, b"")


@pytest.mark.parametrize(
    "digest", ["zz", "sha256:zz", "sha512:" + 64 * "0", "sha256:" + 63 * "0", "sha256%3A.."]
)
def test_no_digest(server: Server, digest: str) -> None:
    assert server.request("HEAD", f"/api/blobs/{digest}").status == 400
    answer = server.post(f"/api/blobs/{digest}", b"x")
    assert (answer.status, answer.error) == (400, "invalid digest format")


def test_an_upload_that_breaks_off_leaves_nothing(server: Server, good: bytes) -> None:
    import http.client

    whole = good + b"never sent"
    digest = f"sha256:{hashlib.sha256(whole).hexdigest()}"
    before = files(server.models)
    connection = http.client.HTTPConnection(server.host, server.port)
    connection.putrequest("POST", f"/api/blobs/{digest}")
    connection.putheader("Content-Length", str(len(whole)))
    connection.endheaders(good)
    connection.close()
    assert server.post(f"/api/blobs/{digest}", whole).status == 201, "another can upload it"
    assert files(server.models) - before == {f"sha256-{digest[7:]}"}


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "blobs").iterdir() if path.name.startswith("sha256-")}
