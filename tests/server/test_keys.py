"""API keys: who is let in, how the others are told, and that beyond this machine nobody is asked by mistake."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.support.places import short_folder
from tests.support.processes import until
from tests.support.server import Server, free_port, serving
from tropa.server.keys import Keys, OpenToAll, check
from tropa.settings import BadSettings, Host, Settings, load

KEY = "k-first-5d1f"
HASHED = "k-second-77ab"


def digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Lets in who has one of two keys, one of which it was only told the hash of."""
    with short_folder() as folder:
        file = folder / "keys"
        file.write_text(f"# ours\n{KEY}\n\n  sha256:{digest(HASHED).hex()}\n")
        with serving(folder, TROPA_API_KEYS=str(file), OLLAMA_ORIGINS="http://my.page") as server:
            yield server
            log = server.log.read_text()
            assert KEY not in log
            assert HASHED not in log


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer  {KEY} "},
        {"x-api-key": KEY},
        {"X-Api-Key": HASHED},
        {"Authorization": "Bearer placeholder", "x-api-key": KEY},
    ],
)
def test_who_shows_a_key_is_let_in(server: Server, headers: dict[str, str]) -> None:
    assert server.get("/api/version", headers).status == 200


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({}, "an API key is required"),
        ({"Authorization": f"Basic {KEY}"}, "an API key is required"),
        ({"Authorization": "Bearer"}, "an API key is required"),
        ({"Authorization": f"Bearer {KEY}x"}, "not known"),
        ({"Authorization": f"Bearer {KEY.upper()}"}, "not known"),
        ({"Authorization": f"Bearer {digest(KEY).hex()}"}, "not known"),
        ({"Authorization": f"Bearer sha256:{digest(HASHED).hex()}"}, "not known"),
        ({"Authorization": "Bearer # ours"}, "not known"),
        ({"x-api-key": "caf\xe9"}, "not known"),
    ],
)
@pytest.mark.parametrize("path", ["/api/version", "/nosuch", "//api//version/"])
def test_everybody_else_is_told_why_not(server: Server, headers: dict[str, str], why: str, path: str) -> None:
    answer = server.get(path, headers)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert why in answer.error


def test_whether_the_server_is_alive_anybody_may_ask(server: Server) -> None:
    assert server.get("/").body == b"Ollama is running"
    assert server.request("HEAD", "/").status == 200


def test_a_refusal_has_the_form_of_its_dialect(server: Server) -> None:
    told = server.post("/v1/chat/completions", model="tiny").json["error"]
    assert told["type"] == "authentication_error"
    for path, headers in [("/v1/messages", {}), ("/v1/models", {"anthropic-version": "2023-06-01"})]:
        answer = server.request("POST", path, {}, headers)
        assert answer.status == 401
        assert (answer.json["type"], answer.json["error"]["type"]) == ("error", "authentication_error")
        assert answer.json["request_id"] == answer.headers["request-id"]
    assert server.request("HEAD", "/api/tags").body == b""


def test_the_real_clients_show_their_key(server: Server) -> None:
    said: Any = [{"role": "user", "content": "Hi"}]
    good = openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0)
    assert "tiny:latest" in [model.id for model in good.models.list()]
    bad = openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="not known"):
        bad.chat.completions.create(model="tiny", messages=said)
    ours = anthropic.Anthropic(base_url=server.url, api_key=HASHED, max_retries=0)
    assert ours.messages.create(model="tiny", messages=said, max_tokens=2).content
    with pytest.raises(anthropic.AuthenticationError):
        anthropic.Anthropic(base_url=server.url, api_key="wrong", max_retries=0).messages.create(
            model="tiny", messages=said, max_tokens=2
        )
    for child in server.children():
        assert "TROPA_API_KEYS" not in child.environ()


def test_a_page_can_ask_whether_it_may_send_its_key_and_read_the_refusal(server: Server) -> None:
    origin = {"Origin": "http://my.page"}
    preflight = server.request("OPTIONS", "/v1/messages", headers=origin)
    assert preflight.status == 204
    allowed = {name.lower() for name in preflight.headers["Access-Control-Allow-Headers"].split(",")}
    assert {
        *("authorization", "x-api-key", "anthropic-version", "anthropic-beta"),
        *("anthropic-dangerous-direct-browser-access", "x-stainless-lang"),
    } <= allowed
    assert server.get("/api/tags", origin).headers["Access-Control-Allow-Origin"] == "http://my.page"


@pytest.mark.parametrize("name", ["TROPA_API_KEY", "OLLAMA_API_KEY"])
def test_the_command_line_shows_its_key(server: Server, name: str) -> None:
    def listed(**environ: str) -> subprocess.CompletedProcess[str]:
        clean = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
        return subprocess.run(
            [sys.executable, "-m", "tropa", "list"],
            env={**clean, "OLLAMA_HOST": server.url, **environ},
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert "tiny:latest" in listed(**{name: KEY}).stdout
    refused = listed()
    assert refused.returncode == 1
    assert "an API key is required" in refused.stderr


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()}


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/metrics"])
def test_a_browser_asks_its_user_for_the_key(server: Server, path: str) -> None:
    refused = server.get(path)
    assert refused.status == 401
    asked = [value for name, value in refused.headers.items() if name.lower() == "www-authenticate"]
    assert asked[0].startswith('Basic realm="tropa')
    assert asked[1:] == ["Bearer"]
    assert server.get(path, basic(KEY)).status == 200
    for wrong in (
        basic("wrong"),
        basic(""),
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Basic \xe9"},
    ):
        assert server.get(path, wrong).status == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/tags"), ("POST", "/api/chat"), ("POST", "/docs"), ("GET", "/v1/models")],
)
def test_what_a_browser_goes_on_showing_opens_nothing_else(server: Server, method: str, path: str) -> None:
    """Also foreign pages can make it send that: a password is no key where something can be done."""
    answer = server.request(method, path, {} if method == "POST" else None, basic(KEY))
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_a_changed_file_of_keys_counts_at_once() -> None:
    with short_folder() as folder:
        file = folder / "keys"
        file.write_text("old\n")
        with serving(folder, TROPA_API_KEYS=str(file)) as server:

            def opens(key: str) -> bool:
                return server.get("/api/version", {"x-api-key": key}).status == 200

            assert (opens("old"), opens("new")) == (True, False)
            (folder / "next").write_text("new\n")
            (folder / "next").rename(file)
            until(lambda: opens("new"), "the new key opens", within=5)
            assert not opens("old")
            file.write_text("# none\n")
            until(
                lambda: "no key in it" in server.log.read_text() or not opens("new"),
                "that was seen",
                within=5,
            )
            assert opens("new")
            file.unlink()
            until(
                lambda: "can't be read" in server.log.read_text() or not opens("new"),
                "that was seen",
                within=5,
            )
            assert opens("new")


def test_no_child_has_a_key_and_no_process_shows_one() -> None:
    """Nor is that of llama.cpp's own server asked of us by an engine: no model would ever be loaded."""
    keys = {
        "TROPA_API_KEYS": KEY,
        "TROPA_API_KEY": "mine-1",
        "OLLAMA_API_KEY": "mine-2",
        "LLAMA_API_KEY": "mine-3",
    }
    with short_folder() as folder, serving(folder, **keys) as server:
        headers = {"x-api-key": KEY}
        assert server.request("POST", "/api/generate", {"model": "tiny"}, headers).status == 200
        assert server.children()
        for child in server.children():
            assert not {*keys.values()} & set(child.environ().values())
            assert KEY not in " ".join(child.cmdline())
        assert KEY not in server.request("GET", "/metrics", None, headers).body.decode()


def test_beyond_this_machine_a_server_wants_keys_or_a_word_that_it_shall_do_without(tmp_path: Path) -> None:
    environ = {"OLLAMA_HOST": f"0.0.0.0:{free_port()}", "OLLAMA_MODELS": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "tropa", "serve"],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "TROPA_API_KEYS" in ended.stderr
    assert "TROPA_NO_AUTH=1" in ended.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.7", "example.com"])
def test_which_addresses_are_beyond(host: str) -> None:
    with pytest.raises(OpenToAll):
        check(Settings(host=Host(host)))
    check(Settings(host=Host(host), no_auth=True))
    check(Settings(host=Host(host), api_keys=(digest(KEY),)))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_this_machine_there_need_not_be_keys(host: str) -> None:
    check(Settings(host=Host(host)))


def test_a_list_of_keys_is_hashed_at_once() -> None:
    found = load({"TROPA_API_KEYS": f"{KEY}, sha256:{digest(HASHED).hex()}"})
    assert found.api_keys == (digest(KEY), digest(HASHED))
    assert KEY not in repr(found)
    assert Keys(found.api_keys).know(HASHED)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (",", "there is no key in it"),
        ("good,sha256:abc", "entry 2: expected sha256: and 64 hexadecimal digits"),
        ("good,secret key", "entry 2: a key has no spaces"),
        ("gehe\u00efm", "entry 1: a key has no spaces"),
        ("/no/such/file", "/no/such/file can't be read: No such file or directory"),
        ("./no-such-file", "no-such-file can't be read"),
        ("/", "/ can't be read: Is a directory"),
    ],
)
def test_keys_that_cannot_be_used_are_not_repeated(text: str, why: str) -> None:
    with pytest.raises(BadSettings) as caught:
        load({"TROPA_API_KEYS": text})
    (problem,) = caught.value.problems
    assert problem.startswith("TROPA_API_KEYS: ")
    assert why in problem
    assert not {"good", "secret", "gehe\u00efm"} & set(problem.replace(",", " ").split())


def test_a_file_without_keys_is_no_open_door(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# none yet\n\n")
    with pytest.raises(BadSettings, match="no key in it"):
        load({"TROPA_API_KEYS": str(file)})


def test_keys_and_no_auth_contradict_each_other() -> None:
    with pytest.raises(BadSettings, match="TROPA_NO_AUTH"):
        load({"TROPA_API_KEYS": KEY, "TROPA_NO_AUTH": "1"})
