"""Who we are: Basic, tokens from a token server, keys; and that nobody hears of it who should not."""

from __future__ import annotations

import base64
import json
import logging
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from tests.registry.conftest import Machine, add_model, noise
from tests.registry.debian import PASSWORD, USER, TokenServer, docker_registry, htpasswd, token_server
from tests.registry.faults import faulty
from tests.registry.web import Ask, Reply, Web
from tropa.errors import TropaError
from tropa.library.manifest import MODEL
from tropa.registry.challenge import Challenge, parse
from tropa.registry.credentials import Credentials, Store
from tropa.registry.errors import BadRedirect, PullFailed, Unauthorized

Machines = Callable[..., Machine]
WEIGHTS = noise(200_000, seed=3)


@pytest.fixture(scope="module")
def basic(debian: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("basic")
    with docker_registry(folder, htpasswd(folder)) as host:
        yield host


@pytest.fixture(scope="module")
def tokens(debian: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, TokenServer]]:
    folder = tmp_path_factory.mktemp("tokens")
    with token_server(folder) as server, docker_registry(folder, server.auth) as host:
        yield host, server


def log_in(machine: Machine, host: str, password: str = PASSWORD) -> None:
    Store(machine.home / "credentials.json").put(host, Credentials(USER, password))


def test_a_registry_with_basic_takes_who_logged_in(machine: Machines, basic: str) -> None:
    there, here = machine(), machine()
    name = f"{basic}/team/model"
    add_model(there.library, name, (MODEL, WEIGHTS))
    with pytest.raises(Unauthorized, match=r"^unauthorized: access denied$") as caught:
        there.push(name)
    assert caught.value.hint == f"tropa login {basic}"
    log_in(there, basic)
    there.push(name)
    log_in(here, basic)
    here.pull(name)
    assert here.whole(name)


def test_a_wrong_password_is_asked_for_once_and_not_told(machine: Machines, basic: str) -> None:
    here = machine()
    log_in(here, basic, "sentinel-wrong")
    with pytest.raises(PullFailed, match=r"^pull model manifest: unauthorized: access denied$") as caught:
        here.pull(f"{basic}/team/model")
    assert "sentinel" not in _everything(caught.value)


def test_docker_credentials_are_used(machine: Machines, basic: str) -> None:
    there = machine()
    name = f"{basic}/team/docker"
    add_model(there.library, name, (MODEL, b"weights"))
    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    (there.home / "config.json").write_text(json.dumps({"auths": {basic: {"auth": auth}}}))
    there.push(name)


def test_tokens_are_fetched_with_the_credentials(machine: Machines, tokens: tuple[str, TokenServer]) -> None:
    host, server = tokens
    there = machine()
    name = f"{host}/team/model"
    add_model(there.library, name, (MODEL, WEIGHTS))
    log_in(there, host)
    there.push(name)
    here = machine()
    before = len(server.asks)
    here.pull(name)
    assert here.whole(name)
    assert "Authorization" not in server.asks[before].headers, "nobody's name is enough for reading"


def test_mounting_asks_for_a_token_for_both_repositories(
    machine: Machines, tokens: tuple[str, TokenServer]
) -> None:
    from tests.library.making import gguf, make

    host, server = tokens
    there = machine()
    log_in(there, host)
    make(there.library, f"{host}/team/base", gguf(), system="one")
    there.push(f"{host}/team/base")
    make(there.library, f"{host}/team/derived", base=f"{host}/team/base", system="two")
    before = len(server.asks)
    there.push(f"{host}/team/derived")
    assert any("team%2Fbase" in ask.path and "team%2Fderived" in ask.path for ask in server.asks[before:])


def test_streams_that_are_refused_together_share_one_token(
    machine: Machines, tokens: tuple[str, TokenServer]
) -> None:
    """A token that runs out in the middle of a download: every stream gets a 401."""
    host, server = tokens
    there, here = machine(), machine()
    with faulty(host) as proxy:
        name = f"{proxy.host}/team/expiring"
        add_model(there.library, name, (MODEL, noise(240_000, seed=4)))
        log_in(there, proxy.host)
        there.push(name)
        seen: list[str] = []
        lock = threading.Lock()
        together = threading.Barrier(4)

        def expire(ask: Ask, reply: Reply) -> Reply:
            """The first token is good for the manifest only."""
            token = ask.headers.get("Authorization", "")
            with lock:
                if token and token not in seen:
                    seen.append(token)
                old = token == seen[0] if seen else False
            if ask.method == "GET" and "/blobs/" in ask.path and old and "Range" in ask.headers:
                together.wait(10)
                scope = "repository:team/expiring:pull"
                challenge = f'Bearer realm="{server.web.url}/token",service="tests",scope="{scope}"'
                return Reply(401, {"WWW-Authenticate": challenge})
            return reply

        proxy.spoil = expire
        before = len(server.asks)
        here.pull(name)
        assert here.whole(name)
        assert len(server.asks) - before == 2, "one for the manifest, one for the four streams"


def test_a_token_server_that_says_no_ends_it(machine: Machines, debian: None, tmp_path: Path) -> None:
    with (
        token_server(tmp_path / "t", public=False) as server,
        docker_registry(tmp_path / "t", server.auth) as host,
    ):
        here = machine()
        log_in(here, host, "sentinel-wrong")
        with pytest.raises(PullFailed, match="unauthorized: access denied") as caught:
            here.pull(f"{host}/team/model")
        assert "sentinel" not in _everything(caught.value)
        assert len(server.asks) == 1


@pytest.mark.parametrize(
    "body", [b"<html>", b"{}", b'{"token":5}', b'{"token":"a\\nb"}', b"[]", b"x" * (2 << 20)]
)
def test_a_token_server_that_talks_nonsense_is_said(machine: Machines, body: bytes) -> None:
    def answer(ask: Ask) -> Reply:
        if ask.path.startswith("/token"):
            return Reply(200, {}, body)
        return Reply(401, {"WWW-Authenticate": f'Bearer realm="{web.url}/token",service="s",scope="x"'})

    with Web(answer) as web, pytest.raises(PullFailed, match=r"sent no token|larger than"):
        machine().pull(f"{web.host}/a/b")


def test_an_identity_token_is_exchanged(machine: Machines) -> None:
    """What a helper program or `docker login` may keep instead of a password."""

    def answer(ask: Ask) -> Reply:
        if ask.path.startswith("/token"):
            form = dict(parse_qsl(ask.body.decode()))
            good = ask.method == "POST" and form["refresh_token"] == "sentinel-identity"
            assert form["grant_type"] == "refresh_token"
            assert form["scope"] == "repository:a/b:pull"
            return Reply(200, {}, b'{"access_token":"sentinel-access"}') if good else Reply(400)
        if ask.headers.get("Authorization") == "Bearer sentinel-access":
            return Reply(404)
        scope = 'service="s",scope="repository:a/b:pull"'
        return Reply(401, {"WWW-Authenticate": f'Bearer realm="{web.url}/token",{scope}'})

    here = machine()
    here.home.mkdir(exist_ok=True)
    with Web(answer) as web:
        auths = {web.host: {"identitytoken": "sentinel-identity"}}
        (here.home / "config.json").write_text(json.dumps({"auths": auths}))
        with pytest.raises(PullFailed, match="file does not exist") as caught:
            here.pull(f"{web.host}/a/b")
        assert "sentinel" not in _everything(caught.value)


def test_credentials_are_not_sent_in_the_clear_because_a_header_says_so(machine: Machines) -> None:
    here = machine()
    challenge = {
        "WWW-Authenticate": 'Bearer realm="http://collector.example.com/token",service="s",scope="x"'
    }
    with Web(lambda ask: Reply(401, challenge)) as web:
        log_in(here, web.host)
        with pytest.raises(PullFailed, match="fetched from an address that is not https") as caught:
            here.pull(f"{web.host}/a/b")
        assert isinstance(caught.value.__cause__, BadRedirect)


def test_no_secret_is_in_any_log_or_error(
    machine: Machines, basic: str, tokens: tuple[str, TokenServer], caplog: pytest.LogCaptureFixture
) -> None:
    """With everything logged that anybody logs, through successes, refusals and servers that talk back."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("tropa").propagate = True
    errors: list[str] = []
    bearers: set[str] = set()

    def attempt(work: Callable[[str], object], name: str) -> None:
        try:
            work(name)
        except TropaError as error:
            errors.append(_everything(error))

    def echo(ask: Ask, reply: Reply) -> Reply:
        """A server that says back what it heard."""
        heard = ask.headers.get("Authorization", "")
        bearers.add(heard.partition(" ")[2])
        plain = base64.b64decode(heard.partition(" ")[2]).decode() if heard.startswith("Basic") else ""
        return Reply(403, {}, f"{heard} {plain} {ask.path}".encode()) if heard else reply

    def lead_astray(ask: Ask, reply: Reply) -> Reply:
        return Reply(
            307, {"Location": "http://user:sentinel-user@localhost:1/x?signature=sentinel-signature"}
        )

    for at in (basic, tokens[0]):
        here = machine()
        add_model(here.library, f"{at}/team/secret", (MODEL, b"weights"))
        log_in(here, at)
        attempt(here.push, f"{at}/team/secret")
        attempt(here.pull, f"{at}/team/secret")
        with faulty(at) as proxy:
            log_in(here, proxy.host)
            for spoil in (echo, lead_astray):
                proxy.spoil = spoil
                attempt(here.pull, f"{proxy.host}/team/secret")
    basic_text = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    said = caplog.text + "".join(errors)
    assert errors
    for secret in ("sentinel", basic_text, *(text for text in bearers if text)):
        assert secret not in said, said


def _everything(error: BaseException | None) -> str:
    """All that a traceback would show of it."""
    import traceback

    return "".join(traceback.format_exception(error)) if error else ""


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (['Basic realm="x"'], [Challenge("basic", "x")]),
        (
            ['Bearer realm="https://a/t",service="s",scope="repository:a/b:pull"'],
            [Challenge("bearer", "https://a/t", "s", "repository:a/b:pull")],
        ),
        (
            ['Bearer realm="r", scope="a"b" ,service="s"'],
            [Challenge("bearer", "r", "s", 'a"b')],
        ),
        (
            ['Bearer realm=r,service=s, Basic realm="q"'],
            [Challenge("bearer", "r", "s"), Challenge("basic", "q")],
        ),
        (['Basic realm="a"', 'Bearer realm="b"'], [Challenge("basic", "a"), Challenge("bearer", "b")]),
        (["Negotiate"], [Challenge("negotiate")]),
        (
            ['Bearer scope="repository:a:pull,push repository:b:pull"'],
            [Challenge("bearer", scope="repository:a:pull,push repository:b:pull")],
        ),
        ([""], []),
        (['Bearer realm="never ends'], [Challenge("bearer", "never ends")]),
        (["====,,,"], []),
    ],
)
def test_challenges(headers: list[str], expected: list[Challenge]) -> None:
    assert parse(headers) == expected


def test_a_login_is_kept_for_its_owner_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "credentials.json")
    where = store.put("Registry.example.com:5000", Credentials(USER, PASSWORD))
    assert where == str(store.path)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert store.get("registry.example.com:5000") == Credentials(USER, PASSWORD)
    assert PASSWORD not in repr(store.get("registry.example.com:5000"))
    assert store.remove("registry.example.com:5000")
    assert not store.remove("registry.example.com:5000")
    assert store.get("registry.example.com:5000") is None


def test_a_login_goes_to_the_systems_keyring_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keyring
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call] # keyring's
            self.kept: dict[tuple[str, str], str] = {}

        def get_password(self, service: str, username: str) -> str | None:
            return self.kept.get((service, username))

        def set_password(self, service: str, username: str, password: str) -> None:
            self.kept[service, username] = password

        def delete_password(self, service: str, username: str) -> None:
            del self.kept[service, username]

    memory = Memory()
    monkeypatch.setattr(keyring, "get_keyring", lambda: memory)
    store = Store(tmp_path / "credentials.json")
    assert store.put("host", Credentials(USER, PASSWORD)) == "the system's keyring"
    assert PASSWORD not in store.path.read_text()
    assert store.get("host") == Credentials(USER, PASSWORD)
    assert store.remove("host")
    assert memory.kept == {}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"auths": {"h:5000": {"auth": base64.b64encode(b"u:p:q").decode()}}}, Credentials("u", "p:q")),
        ({"auths": {"https://h:5000": {"username": "u", "password": "p"}}}, Credentials("u", "p")),
        ({"auths": {"https://h:5000/v2/": {"identitytoken": "t"}}}, Credentials(identity_token="t")),
        ({"auths": {"other": {"auth": "eA=="}}}, None),
        ({"auths": {"h:5000": {}}}, None),
        ({"credsStore": "fake"}, Credentials("helped", "fake-h:5000")),
        (
            {"credHelpers": {"h:5000": "fake"}, "auths": {"h:5000": {"auth": "eDp5"}}},
            Credentials("helped", "fake-h:5000"),
        ),
        ({"credHelpers": {"h:5000": "not-installed"}}, None),
        ({"credsStore": "fake", "auths": {"h:5000": {}}}, Credentials("helped", "fake-h:5000")),
    ],
)
def test_dockers_configuration(
    config: dict[str, object], expected: Credentials | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tropa.registry.credentials import Docker

    helper = tmp_path / "docker-credential-fake"
    helper.write_text(
        '#!/bin/sh\nread host\n[ "$1" = get ] || exit 1\n'
        'printf \'{"ServerURL":"%s","Username":"helped","Secret":"fake-%s"}\' "$host" "$host"\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert Docker(tmp_path / "config.json").get("h:5000") == expected


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths":{"h":{"auth":"%%%"}}}', '{"credHelpers":{"h":"../../bin/sh"}}']
)
def test_a_configuration_that_cannot_be_read_is_said_without_its_content(text: str, tmp_path: Path) -> None:
    from tropa.registry.credentials import Docker
    from tropa.registry.errors import CredentialsUnusable

    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CredentialsUnusable) as caught:
        Docker(tmp_path / "config.json").get("h")
    assert "%%%" not in _everything(caught.value.with_traceback(None))
