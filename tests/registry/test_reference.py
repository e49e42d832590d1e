"""The public registries, as far as their protocol is known: keys instead of passwords, and storage elsewhere.

Both fakes are reached as a proxy is, so that the real host names are asked for and nothing leaves this machine.
"""

from __future__ import annotations

import base64
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.registry.conftest import Machine, add_model, noise
from tests.registry.debian import digest_of
from tests.registry.web import Ask, Reply, Web
from tropa.library import manifest
from tropa.library.name import Name
from tropa.registry.errors import PullFailed, RealmMismatch
from tropa.registry.identity import Identity
from tropa.registry.transport import proxy_for

Machines = Callable[..., Machine]
WEIGHTS = noise(150_001, seed=21)
_KEY = "OPENSSH PRIVATE KEY"
NO_BODY = base64.b64encode(digest_of(b"").removeprefix("sha256:").encode()).decode()


@dataclass
class World:
    """Every host there is, seen through a proxy."""

    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)  # those that may read private things
    private: set[str] = field(default_factory=set)
    realm: str = "http://{host}/v2/token"
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.web = Web(self.answer)

    def answer(self, ask: Ask) -> Reply:
        parts = urlsplit(ask.path)
        assert parts.hostname is not None, ask.path
        if parts.hostname == "cdn.example.com":
            return self._storage(ask)
        if not re.fullmatch(r"ollama/0\.33\.0 \(\S+ \S+\) Go/go[\d.]+ .*", ask.headers["User-Agent"]):
            return Reply(412, {}, b"this model needs a newer version")
        if parts.path == "/v2/token":
            return self._token(ask)
        repository = "/".join(parts.path.split("/")[2:4])
        signed = "__sign=" in parts.query
        if (
            repository in self.private
            and not signed
            and ask.headers.get("Authorization") != "Bearer sentinel-token"
        ):
            realm = self.realm.format(host=parts.netloc)
            scope = f"repository:{repository}:pull"
            return Reply(
                401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="ollama.com",scope="{scope}"'}
            )
        if "/manifests/" in parts.path:
            if ask.headers.get("Accept") != manifest.MEDIA_TYPE:
                self.wrong.append(f"Accept: {ask.headers.get('Accept')}")
            return self._manifest(parts.path)
        digest = parts.path.rpartition("/")[2]
        if parts.hostname == "hf.co":
            return Reply(307, {"Location": f"http://huggingface.co{parts.path}?__sign=sentinel-signature"})
        return Reply(307, {"Location": f"http://cdn.example.com/{digest}?signature=sentinel-signature"})

    def _manifest(self, path: str) -> Reply:
        data = self.manifests.get(path)
        if data is not None:
            return Reply(200, {"Content-Type": manifest.MEDIA_TYPE}, data)
        if path.endswith(":Q9_9"):
            return Reply(400, {}, b"")
        return Reply(404, {}, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')

    def _token(self, ask: Ask) -> Reply:
        """The signature has to be that of the very URL that was asked for."""
        key, _, signature = ask.headers.get("Authorization", ":").partition(":")
        query = [name for name, _ in parse_qsl(urlsplit(ask.path).query, keep_blank_values=True)]
        if query != ["nonce", "scope", "service", "ts"]:
            self.wrong.append(f"query: {query}")
        wire = base64.b64decode(key)
        try:
            Ed25519PublicKey.from_public_bytes(wire[-32:]).verify(
                base64.b64decode(signature), f"GET,{ask.path},{NO_BODY}".encode()
            )
        except (InvalidSignature, ValueError):
            return Reply(401, {}, b"bad signature")
        return (
            Reply(200, {}, b'{"token":"sentinel-token"}')
            if key in self.keys
            else Reply(401, {}, b"unknown key")
        )

    def _storage(self, ask: Ask) -> Reply:
        if "Authorization" in ask.headers:
            self.wrong.append("credentials at the storage")
            return Reply(400, {}, b"only one way to authenticate, please")
        data = self.blobs[urlsplit(ask.path).path.removeprefix("/")]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", ask.headers.get("Range", ""))
        if wanted is None:
            return Reply(200, {}, data)
        start, end = int(wanted[1]), int(wanted[2])
        return Reply(206, {"Content-Range": f"bytes {start}-{end}/{len(data)}"}, data[start : end + 1])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    with world.web:
        monkeypatch.setenv("http_proxy", world.web.url)
        yield world
    assert world.wrong == []


def publish(world: World, machine: Machine, repository: str, tag: str) -> bytes:
    data = add_model(
        machine.library, "made-up", (manifest.MODEL, WEIGHTS), (manifest.TEMPLATE, b"{{ .Prompt }}")
    )
    world.manifests[f"/v2/{repository}/manifests/{tag}"] = data
    for layer in manifest.parse(data).blobs():
        world.blobs[layer.digest] = machine.library.store.blobs.path(layer.blob).read_bytes()
    return data


def test_a_public_model_of_the_default_registry_needs_nobodys_name(machine: Machines, world: World) -> None:
    here = machine()
    data = publish(world, machine(), "library/gemma2", "9b")
    here.pull("gemma2:9b", insecure=True)
    found = here.library.store.find(Name.parse("gemma2:9b"))
    assert found is not None
    assert found.path.read_bytes() == data
    assert here.whole("gemma2:9b")
    assert not (here.home / ".ollama").exists(), "no key is made where none is asked for"


def test_a_private_model_comes_to_who_has_the_key(machine: Machines, world: World) -> None:
    here = machine()
    publish(world, machine(), "me/secret", "latest")
    world.private.add("me/secret")
    world.keys.add(Identity(here.home / ".ollama/id_ed25519").public.split()[1])
    here.pull("me/secret", insecure=True)
    assert here.whole("me/secret")
    assert len(world.web.asked("GET", "/v2/token")) == 1


def test_the_key_is_made_when_it_is_first_needed(machine: Machines, world: World) -> None:
    here = machine()
    world.private.add("me/secret")
    with pytest.raises(PullFailed, match=r"^pull model manifest: unauthorized: access denied$"):
        here.pull("me/secret", insecure=True)
    key = here.home / ".ollama/id_ed25519"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert key.with_name("id_ed25519.pub").read_text().split() == Identity(key).public.split()


def test_a_signature_is_for_the_host_that_asked_for_it(machine: Machines, world: World) -> None:
    world.private.add("me/secret")
    world.realm = "http://collector.example.com/token"
    with pytest.raises(PullFailed) as caught:
        machine().pull("me/secret", insecure=True)
    assert isinstance(caught.value.__cause__, RealmMismatch)
    assert 'realm host "collector.example.com" does not match original host "registry.ollama.ai"' in str(
        caught.value
    )
    assert not world.web.asked("GET", "collector.example.com")


@pytest.mark.parametrize("host", ["hf.co", "huggingface.co"])
def test_hugging_face_models_come_under_both_names(machine: Machines, world: World, host: str) -> None:
    here = machine()
    publish(world, machine(), "user/repo-GGUF", "Q4_K_M")
    here.pull(f"{host}/user/repo-GGUF:Q4_K_M", insecure=True)
    assert here.whole(f"{host}/user/repo-GGUF:Q4_K_M")
    assert [model.name.short for model in here.library.models()] == [f"{host}/user/repo-GGUF:Q4_K_M"]


@pytest.mark.parametrize("host", ["hf.co", "huggingface.co"])
def test_private_repositories_work_under_both_names_though_tokens_come_from_one(
    machine: Machines, world: World, host: str
) -> None:
    here = machine()
    publish(world, machine(), "user/private", "latest")
    world.private.add("user/private")
    world.realm = "http://huggingface.co/v2/token"
    with pytest.raises(PullFailed, match="unauthorized: access denied") as caught:
        here.pull(f"{host}/user/private", insecure=True)
    assert "model not found or private" in str(caught.value.hint)
    world.keys.add(Identity(here.home / ".ollama/id_ed25519").public.split()[1])
    here.pull(f"{host}/user/private", insecure=True)
    assert here.whole(f"{host}/user/private")


@pytest.mark.parametrize(
    "said",
    [
        b'{"error":"The specified tag is not a valid quantization scheme. Please use another tag or \\"latest\\""}',
        b'{"error":"The specified tag is a sharded GGUF. Ollama does not support this yet."}',
    ],
)
def test_what_hugging_face_says_of_a_tag_is_told(machine: Machines, world: World, said: bytes) -> None:
    world.answer = lambda ask: Reply(400, {}, said)  # type: ignore[method-assign] # for this one test
    world.web.handler = world.answer
    with pytest.raises(PullFailed) as caught:
        machine().pull("hf.co/user/repo:Q9_9", insecure=True)
    assert str(caught.value) == f"pull model manifest: 400: {said.decode()}"
    if b"sharded" in said:
        assert "tropa create" in str(caught.value.hint)


@pytest.mark.parametrize(
    "content",
    ["", "nonsense", f"-----BEGIN {_KEY}-----\nAAAA\n-----END {_KEY}-----\n"],
)
def test_a_key_that_is_none_is_said_and_left_alone(machine: Machines, world: World, content: str) -> None:
    from tropa.registry.errors import KeyUnusable

    here = machine()
    world.private.add("me/secret")
    key = here.home / ".ollama/id_ed25519"
    key.parent.mkdir(parents=True)
    key.write_text(content)
    with pytest.raises(PullFailed, match="is no ed25519 key") as caught:
        here.pull("me/secret", insecure=True)
    assert isinstance(caught.value.__cause__, KeyUnusable)
    assert key.read_text() == content


@pytest.mark.parametrize(
    ("environ", "url", "proxy"),
    [
        ({}, "https://a.example.com/x", ""),
        ({"https_proxy": "http://p:1"}, "https://a.example.com/x", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "https://a.example.com/x", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "https://a.example.com/x", ""),
        ({"https_proxy": "p:1"}, "https://a.example.com/x", "http://p:1"),
        ({"all_proxy": "http://p:1"}, "https://a.example.com/x", "http://p:1"),
        ({"https_proxy": "http://p:1", "no_proxy": "example.com"}, "https://a.example.com/x", ""),
        ({"https_proxy": "http://p:1", "no_proxy": "*"}, "https://a.example.com/x", ""),
        ({"http_proxy": "http://p:1"}, "http://localhost:5000/x", ""),
        ({"http_proxy": "http://p:1"}, "http://127.0.0.1:5000/x", ""),
        ({"http_proxy": "http://p:1"}, "http://[::1]:5000/x", ""),
    ],
)
def test_proxies_by_the_usual_variables(
    environ: dict[str, str], url: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


def test_a_proxy_gets_its_own_credentials_and_the_registry_does_not(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Web(lambda ask: Reply(404)) as web:
        monkeypatch.setenv("http_proxy", f"http://user:pass%40word@{web.host}")
        with pytest.raises(PullFailed, match="file does not exist"):
            machine().pull("registry.example.com/a/b", insecure=True)
        wanted = base64.b64encode(b"user:pass@word").decode()
        assert {key.lower(): value for key, value in web.asks[0].headers.items()}[
            "proxy-authorization"
        ] == f"Basic {wanted}"
        assert web.asks[0].path == "http://registry.example.com/v2/a/b/manifests/latest"
        assert "Authorization" not in web.asks[0].headers


def test_a_kind_of_proxy_that_we_cannot_use_is_said(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "socks5://user:sentinel-password@proxy.example.com:1080")
    with pytest.raises(PullFailed, match="socks5://: no such proxies are supported") as caught:
        machine().pull("registry.example.com/a/b")
    assert "ALL_PROXY" in str(caught.value.hint)


def test_pushing_to_somebody_elses_namespace_is_said_as_such(machine: Machines, world: World) -> None:
    from tropa.registry.errors import Unauthorized

    here = machine()
    add_model(here.library, "someone/model", (manifest.MODEL, WEIGHTS))
    world.private.add("someone/model")
    with pytest.raises(Unauthorized, match=r"^unauthorized: access denied$") as caught:
        here.push("someone/model", insecure=True)
    assert "you are not authorized to push to this namespace" in str(caught.value.hint)


def test_two_processes_that_need_a_key_make_one(machine: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both saw none; the second to finish takes the first one's."""
    import os

    here = machine()
    path = here.home / ".ollama/id_ed25519"
    link = os.link

    def beaten(source: str, target: object) -> None:
        monkeypatch.setattr(os, "link", link)
        Identity(path).public  # noqa: B018 - makes it
        link(source, path)

    monkeypatch.setattr(os, "link", beaten)
    assert Identity(path).public == Identity(path).public
    assert [each.name for each in path.parent.iterdir() if each.name.startswith(".")] == []


def test_a_disk_without_second_names_can_have_a_key(
    machine: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    def refuse(source: str, target: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    path = machine().home / "key"
    assert Identity(path).public == Identity(path).public
