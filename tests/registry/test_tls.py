"""https: trusted, not trusted, not spoken at all; and that nothing leads from it to http."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.registry.conftest import QUICK, Machine, nobody
from tests.registry.debian import digest_of
from tests.registry.web import Ask, Reply, Web
from tests.support.certificate import self_signed
from tropa.library import manifest
from tropa.library.library import Library
from tropa.library.name import Name
from tropa.registry.errors import PullFailed
from tropa.registry.identity import Identity
from tropa.registry.leaving import Leaving
from tropa.registry.registry import Registry
from tropa.registry.remote import Remote, is_loopback, origin, shown
from tropa.registry.transport import NotTLS, Request, Transport, Untrusted

Machines = Callable[..., Machine]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "both.pem")


WEIGHTS = b"weights of a model"
CONFIG = b"{}"


def a_model(ask: Ask) -> Reply:
    blobs = {digest_of(data): data for data in (WEIGHTS, CONFIG)}
    if "/manifests/" in ask.path:
        layer = f'{{"mediaType":"{manifest.MODEL}","digest":"{digest_of(WEIGHTS)}","size":{len(WEIGHTS)}}}'
        config = f'{{"mediaType":"{manifest.CONFIG}","digest":"{digest_of(CONFIG)}","size":2}}'
        return Reply(200, {}, f'{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}'.encode())
    return Reply(200, {}, blobs.get(ask.path.rpartition("/")[2], b""))


@pytest.fixture
def secure(certificate: Path) -> Iterator[Web]:
    with Web(a_model, certificate) as web:
        yield web


def trusting(folder: Path, certificate: Path) -> Registry:
    context = ssl.create_default_context(cafile=str(certificate))
    library = Library(folder / "models")
    return Registry(
        library, QUICK, identity=Identity(folder / "key"), keyring=nobody(folder), context=context
    )


def test_a_registry_on_this_machine_may_speak_tls(tmp_path: Path, certificate: Path, secure: Web) -> None:
    client = trusting(tmp_path, certificate)
    assert [*client.pull(f"{secure.host}/a/b")][-1].status == "success"
    client.close()


def test_a_certificate_that_nobody_trusts_is_refused_once(tmp_path: Path, secure: Web) -> None:
    transport = Transport(QUICK)
    with pytest.raises(Untrusted, match="its certificate is not trusted") as caught:
        transport.open(Request("GET", f"https://{secure.host}/v2/"), Leaving())
    assert not caught.value.temporary
    transport.close()


def test_plain_http_where_tls_was_expected_is_said_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        transport = Transport(QUICK)
        with pytest.raises(NotTLS, match="it does not speak TLS") as caught:
            transport.open(Request("GET", f"https://127.0.0.1:{listener.getsockname()[1]}/v2/"), Leaving())
        thread.join()
        transport.close()
    assert "--insecure" in str(caught.value.hint)
    assert not caught.value.temporary


def test_nothing_leads_from_https_to_http(tmp_path: Path, certificate: Path, secure: Web) -> None:
    with Web(a_model) as plain:
        secure.handler = lambda ask: Reply(302, {"Location": f"{plain.url}{ask.path}"})
        client = trusting(tmp_path, certificate)
        with pytest.raises(PullFailed, match="redirects from https to http"):
            [*client.pull(f"{secure.host}/a/b")]
        assert plain.asks == []
        client.close()


@pytest.mark.parametrize(
    ("host", "scheme"),
    [("registry.example.com", "https"), ("127.0.0.1:1", "http"), ("localhost.example.com", "https")],
)
def test_https_unless_it_is_this_machine(
    machine: Machines, host: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = machine(connect=1)
    with Web(lambda ask: Reply(404)) as web:
        monkeypatch.setenv("https_proxy", web.url)
        with pytest.raises(PullFailed) as caught:
            here.pull(f"{host}/a/b")
        assert f"{scheme}://{host}/v2/a/b" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True), ("localhost:5000", True), ("127.0.0.1:5000", True), ("127.9.9.9", True),
        ("registry.localhost", True), ("registry.example.com", False), ("localhost.example.com", False),
        ("10.0.0.1", False), ("", False), ("a:b:c", False), ("h:99999999", False), ("127.0.0.1.example.com", False),
    ],
)  # fmt: skip
def test_what_is_this_machine(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize("host", ["h:99999999", "h:x", "a:b:c", "_", "0", "x..y"])
def test_hosts_that_cannot_be_are_an_error_and_no_bug(machine: Machines, host: str) -> None:
    with pytest.raises(PullFailed):
        machine(tries=1).pull(f"{host}/a/b")


@pytest.mark.parametrize(
    "realm", ["http://[x", "http://h:99999999/t", "//", "https:", "ftp://h/t", "http://", "x y"]
)
def test_realms_that_cannot_be_are_an_error_and_no_bug(machine: Machines, realm: str) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="s",scope="x"'}
    with Web(lambda ask: Reply(401, challenge)) as web, pytest.raises(PullFailed):
        machine(tries=1).pull(f"{web.host}/a/b")


@pytest.mark.parametrize("location", ["http://[x", "http://h:99999999/", "//", "http://h\\evil/", "\x01"])
def test_locations_that_cannot_be_are_an_error_and_no_bug(machine: Machines, location: str) -> None:
    with Web(lambda ask: Reply(307, {"Location": location})) as web, pytest.raises(PullFailed):
        machine(tries=1).pull(f"{web.host}/a/b")


def test_addresses_are_told_without_what_is_secret_in_them() -> None:
    assert shown("https://user:pass@h:8443/a/b?signature=x#y") == "https://h:8443/a/b"
    assert shown("https://h/a?x") == "https://h/a"
    assert origin("https://user@H/a") == ("https", "h", 443)


def test_docker_hub_is_where_it_is() -> None:
    assert (
        Remote.of(Name.parse("docker.io/me/model"), "https").url == "https://registry-1.docker.io/v2/me/model"
    )
