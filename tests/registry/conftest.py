from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.library.making import gguf, make
from tests.registry.debian import docker_registry, executable
from tests.registry.faults import Faulty, faulty
from tropa.library import manifest
from tropa.library.digest import Digest
from tropa.library.library import Library
from tropa.library.manifest import Layer
from tropa.library.name import Name
from tropa.library.status import Status
from tropa.registry.credentials import Docker, Keyring, Store
from tropa.registry.identity import Identity
from tropa.registry.limits import Limits
from tropa.registry.registry import Registry

QUICK = Limits(
    connect=10, stall=10, tries=4, backoff=0.005, longest=0.5, streams=4, part=60_000, upload=70_000, tick=0.005,
    saved=4_000,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _nobodys_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no login and no proxy of the user of this machine."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("DOCKER_CONFIG", str(home / "docker"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="session")
def debian() -> None:
    if executable() is None:
        pytest.skip("no docker-registry: install Debian's package, or have apt-get download it")


@pytest.fixture(scope="session")
def registry(debian: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real registry that asks nobody who they are: its host and port."""
    with docker_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def proxy(registry: str) -> Iterator[Faulty]:
    with faulty(registry) as proxy:
        yield proxy


@dataclass
class Machine:
    """A library, and a registry client of its own."""

    library: Library
    client: Registry
    home: Path

    def pull(self, name: str, *, insecure: bool = False) -> list[Status]:
        return [*self.client.pull(name, insecure=insecure)]

    def push(self, name: str, *, insecure: bool = False) -> list[Status]:
        return [*self.client.push(name, insecure=insecure)]

    def has(self, name: str) -> bool:
        return self.library.get(Name.parse(name)) is not None

    def whole(self, name: str) -> bool:
        """Whether every blob of the model is here, with the bytes that its digest promises."""
        found = self.library.store.find(Name.parse(name))
        assert found is not None
        blobs = self.library.store.blobs
        return all(
            Digest.of(blobs.path(layer.blob).read_bytes()) == layer.blob
            for layer in manifest.parse(found.path.read_bytes()).blobs()
        )

    def blobs(self) -> set[str]:
        folder = self.library.store.blobs.folder
        return {path.name for path in folder.iterdir()} if folder.exists() else set()

    def wrong(self) -> list[str]:
        """Files with the name of a digest that is not theirs. There must never be one."""
        folder = self.library.store.blobs.folder
        return [
            name
            for name in self.blobs()
            if len(name) == 71 and Digest.of((folder / name).read_bytes()).file_name != name
        ]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Callable[..., Machine]]:
    """Makes machines: `machine()`, with limits of their own by keyword."""
    made: list[Machine] = []

    def make_one(**limits: Any) -> Machine:
        home = tmp_path / f"machine{len(made)}"
        library = Library(home / "models")
        keyring = nobody(home)
        client = Registry(
            library,
            replace(QUICK, **limits),
            identity=Identity(home / ".ollama/id_ed25519"),
            keyring=keyring,
        )
        made.append(Machine(library, client, home))
        return made[-1]

    yield make_one
    for each in made:
        each.client.close()


def nobody(home: Path) -> Keyring:
    """Credentials of a home that has none yet."""
    return Keyring(Store(home / "credentials.json"), Docker(home / "config.json"))


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def add_model(library: Library, name: str, *layers: tuple[str, bytes]) -> bytes:
    """Register a model of these layers, whatever is in them; its manifest."""
    stored = [(kind, data, library.store.blobs.put_bytes(data).digest) for kind, data in layers]
    config = b'{"model_format":"gguf"}'
    library.store.blobs.put_bytes(config)
    data = manifest.compose(
        Layer(manifest.CONFIG, str(Digest.of(config)), len(config)),
        [Layer(kind, str(digest), len(data)) for kind, data, digest in stored],
    )
    library.store.write(Name.parse(name), data)
    return data


@pytest.fixture(scope="session")
def published(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Models that are in the registry: a small one, and one of several parts (300 kB of noise)."""
    home = tmp_path_factory.mktemp("publisher")
    library = Library(home / "models")
    make(library, f"{registry}/team/small", gguf(tensors=2), system="be brief")
    weights = noise(300_001, seed=1)
    data = add_model(
        library, f"{registry}/team/large", (manifest.MODEL, weights), (manifest.SYSTEM, b"be large")
    )
    client = Registry(library, QUICK, identity=Identity(home / "key"), keyring=nobody(home))
    for model in ("small", "large"):
        assert [*client.push(f"{registry}/team/{model}")][-1].status == "success"
    client.close()
    return Published(data, weights, Digest.of(weights))


@dataclass(frozen=True)
class Published:
    manifest: bytes
    weights: bytes
    digest: Digest
