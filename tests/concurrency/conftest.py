"""Models in a store, registered once through the API; servers that use it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.concurrency.gate import Gate, gate
from tests.concurrency.server import Client, Server, serving
from tests.support import models
from tests.support.places import short_folder
from tests.support.processes import until

Serve = Callable[..., AbstractContextManager[Server]]


@dataclass(frozen=True)
class Store:
    """A folder of models, and a state folder in which the engine has been found to work."""

    models: Path
    state: Path
    digests: dict[str, str]

    def blob(self, name: str) -> Path:
        """The weights of a model, as engines are told them."""
        return self.models / "blobs" / f"sha256-{self.digests[name]}"


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    """`llama`, `other` (a llama too), `gemma`, `bert`, and `large`, which takes half a minute to fill its context."""
    with short_folder() as home:
        made = {
            "llama": models.llama(home / "llama.gguf"),
            "other": models.llama(home / "other.gguf", seed=2),
            "gemma": models.gemma2(home / "gemma.gguf"),
            "bert": models.bert(home / "bert.gguf"),
            "large": models.llama(
                home / "large.gguf", layers=8, width=768, heads=12, vocab=8192, type="Q8_0"
            ),
        }
        with serving(OLLAMA_MODELS=str(home / "models"), TROPA_STATE=str(home / "state")) as server:
            for name, file in made.items():
                server.it.create(name, file)
            until(lambda: server.said("engine: "), "the engine has proved itself")
        digests = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in made.items()}
        yield Store(home / "models", home / "state", digests)


@pytest.fixture(scope="session")
def gated(store: Store) -> Iterator[Gate]:
    """An engine whose loads can be held. That it works is known from here on."""
    with short_folder() as home:
        held = gate(home)
        told = {"OLLAMA_MODELS": str(store.models), "TROPA_STATE": str(store.state)}
        with serving(TROPA_LLAMA_SERVER=str(held.executable), **told) as server:
            until(lambda: server.said("engine: "), "the engine has proved itself")
        yield held


@pytest.fixture(scope="session")
def serve(store: Store) -> Serve:
    """Servers of the tests' models, with variables given as keywords and a memory of their own."""

    @contextmanager
    def serve(**settings: str) -> Iterator[Server]:
        with short_folder() as state:
            shutil.copy(store.state / "engines.json", state)
            with serving(
                **{"OLLAMA_MODELS": str(store.models), "TROPA_STATE": str(state), **settings}
            ) as server:
                yield server

    return serve


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    """Of the module's own `server`; nothing is loaded before and after a test."""
    async with server.client() as client:
        yield client
        await client.unload_all()
