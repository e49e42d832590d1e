"""Debian's nginx in front of a server of ours, set up as anybody would: one `proxy_pass`, buffering left as it is."""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support import debian
from tests.support.bundled import long_question
from tests.support.processes import until
from tests.support.scripted import scripted
from tests.support.server import Server, answers, free_port

GZIP = """
gzip on; gzip_proxied any; gzip_min_length 0; gzip_http_version 1.0;
gzip_types application/x-ndjson text/event-stream;
"""
DEAF_TO_US = "proxy_ignore_headers X-Accel-Buffering;"
PIECES = ("one ", "two ", "three ")
PAUSE = 100  # tokens that nobody is shown, after each of them
LONG = 30_000  # tokens that the model goes on for: many seconds
ASKS: dict[str, dict[str, Any]] = {
    "/api/chat": {"options": {"num_predict": LONG, "num_ctx": 32768}},
    "/v1/chat/completions": {"stream": True, "max_tokens": LONG},
    "/v1/messages": {"stream": True, "max_tokens": LONG},
}
CONFIG = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {url};
            {more}
        }}
    }}
}}
"""


@contextmanager
def nginx(server: Server, folder: Path, more: str = "") -> Iterator[Server]:
    """The server, by way of nginx, which is told `more` of the place."""
    found = debian.program("nginx", "usr/sbin/nginx")
    if found is None:
        pytest.skip("no nginx: install Debian's package, or have apt-get download it")
    folder.mkdir()
    port = free_port()
    (folder / "nginx.conf").write_text(CONFIG.format(folder=folder, port=port, url=server.url, more=more))
    command = [
        str(found),
        "-p",
        str(folder),
        "-e",
        str(folder / "error.log"),
        "-c",
        str(folder / "nginx.conf"),
    ]
    with (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        proxied = replace(server, process=process, port=port, log=folder / "said")
        until(lambda: answers(proxied), "nginx answers")
        yield proxied
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def proxied(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with nginx(server, tmp_path_factory.mktemp("nginx") / "plain") as proxied:
        yield proxied


@pytest.fixture(scope="module")
def silent(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that says three words with pauses between, and then for long only what nobody is shown."""
    path = tmp_path_factory.mktemp("silent") / "silent.gguf"
    hms = [f"<hm{number}>" for number in range(3 * PAUSE)]
    said = [piece for place, word in enumerate(PIECES) for piece in (word, *hms[place * PAUSE :][:PAUSE])]
    scripted(path, {"<go>": [*said, hms[-PAUSE]]}, special=hms, context=32768)
    fields = {"template": "{{ .Prompt }}<go>", "parameters": {"num_ctx": 32768, "temperature": 0}}
    server.create("silent", path, **fields)
    return "silent"


def ended_by_the_last_word(server: Server, path: str) -> bool:
    """Whether the model was done when its last word came."""
    fields = {"model": "silent", "messages": [{"role": "user", "content": "Count."}], **ASKS[path]}
    with server.asking("POST", path, fields) as connection:
        response = connection.getresponse()
        assert response.status == 200, response.read()
        for line in iter(response.readline, b""):
            if PIECES[-1].strip().encode() in line:
                return server.busy("silent:latest") == 0
    raise AssertionError("the last word never came")


@pytest.mark.parametrize("path", sorted(ASKS))
def test_words_come_as_soon_as_they_are_said(server: Server, proxied: Server, silent: str, path: str) -> None:
    assert not ended_by_the_last_word(proxied, path)
    until(lambda: server.busy("silent:latest") == 0, "the slot is free once the client has gone")


def last_word_unpacked(server: Server, path: str, **more: Any) -> bool:
    """Whether the model was still at work when its last word had come, packed."""
    fields = {"model": "silent", "messages": [{"role": "user", "content": "Count."}], **ASKS[path], **more}
    with server.asking("POST", path, fields, {"Accept-Encoding": "gzip"}) as connection:
        response = connection.getresponse()
        assert response.headers["Content-Encoding"] == "gzip"
        unpacked = zlib.decompressobj(31)
        text = b""
        while PIECES[-1].strip().encode() not in text:
            piece = response.read1(1 << 16)
            assert piece, "the last word never came"
            text += unpacked.decompress(piece)
        return server.busy("silent:latest") == 1


@pytest.mark.parametrize("path", sorted(ASKS))
def test_an_nginx_that_packs_gathers_nothing_as_we_ask(
    server: Server, tmp_path: Path, silent: str, path: str
) -> None:
    with nginx(server, tmp_path / "packing", GZIP) as packing:
        assert last_word_unpacked(packing, path)
    until(lambda: server.busy("silent:latest") == 0, "the slot is free once the client has gone")


def test_one_that_does_not_hear_us_keeps_words_back(server: Server, tmp_path: Path, silent: str) -> None:
    """So it is our `X-Accel-Buffering: no` that does it."""
    few = {"options": {"num_predict": 1000, "num_ctx": 32768}}
    with nginx(server, tmp_path / "packing", GZIP + DEAF_TO_US) as packing:
        assert not last_word_unpacked(packing, "/api/chat", **few)


def test_whole_answers_and_whole_streams_pass(proxied: Server) -> None:
    question = long_question()
    asked = {"model": "tiny", "prompt": question.question, "options": {"temperature": 0}}
    assert proxied.post("/api/generate", stream=False, **asked).json["response"] == question.answer
    lines = proxied.post("/api/generate", **asked).lines
    assert "".join(line["response"] for line in lines) == question.answer
    assert proxied.post("/api/chat", model="nosuch", messages=[]).status == 404
