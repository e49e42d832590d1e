"""A file goes into the folder of a server on this machine without a second copy, or is left to be uploaded."""

from __future__ import annotations

import hashlib
from io import BufferedReader
from pathlib import Path

import pytest

from tests.cli.fakeserver import Fake, Reply, error
from tests.library.making import add
from tropa.cli.nearby import shared
from tropa.client.client import Client
from tropa.library import manifest
from tropa.library.blobs import Writer
from tropa.library.digest import Digest
from tropa.library.lock import Claim
from tropa.library.manifest import Layer
from tropa.library.name import Name
from tropa.library.store import Store
from tropa.settings import parse_host

DATA = b"weights" * 1000
DIGEST = Digest.of(DATA)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The folder that the settings name, new: a server made it, and nothing was ever put there."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("OLLAMA_MODELS", str(folder))
    monkeypatch.setattr(Writer, "clone", clone)
    return Store(folder)


def clone(writer: Writer, source: BufferedReader) -> bool:
    """The filesystem's part: not every machine that tests has one that shares bytes."""
    writer.write(source.read())
    return True


def taken(fake: Fake, tmp_path: Path) -> bool:
    (tmp_path / "m.gguf").write_bytes(DATA)
    with (tmp_path / "m.gguf").open("rb") as file:
        return shared(file, str(DIGEST), Client(parse_host(fake.address)))


def test_the_first_file_of_a_new_folder_is_shared_too(fake: Fake, store: Store, tmp_path: Path) -> None:
    """It was uploaded, and so copied: there is no folder of blobs before the first blob."""
    fake.replies["HEAD /api/blobs/*"] = Reply()
    assert taken(fake, tmp_path)
    assert hashlib.sha256(store.blobs.path(DIGEST).read_bytes()).hexdigest() == DIGEST.hex


def test_a_folder_that_nobody_made_is_not_made(fake: Fake, store: Store, tmp_path: Path) -> None:
    store.root.rmdir()
    assert not taken(fake, tmp_path)
    assert not store.root.exists()
    assert fake.asked == []


def test_what_the_server_does_not_find_is_taken_back(fake: Fake, store: Store, tmp_path: Path) -> None:
    fake.replies["HEAD /api/blobs/*"] = error("not found", 404)
    assert not taken(fake, tmp_path)
    assert list(store.blobs.folder.iterdir()) == []


@pytest.mark.parametrize("how", ["named by a model", "claimed"])
def test_what_somebody_else_needs_by_now_is_not_taken_back(
    fake: Fake, store: Store, tmp_path: Path, how: str
) -> None:
    """Another server, the one whose folder this is, may have met the blob in the moment it was there."""

    def meanwhile(_asked: object) -> Reply:
        if how == "claimed":
            claims.append(store.claim())
            claims[0].add(DIGEST)
        else:
            config = add(store.blobs, manifest.CONFIG, b"{}")
            layer = Layer(manifest.MODEL, str(DIGEST), len(DATA))
            store.write(Name.parse("x"), manifest.compose(config, [layer]))
        return error("not found", 404)

    claims: list[Claim] = []
    fake.replies["HEAD /api/blobs/*"] = meanwhile
    assert not taken(fake, tmp_path)
    assert store.blobs.has(DIGEST)
    for claim in claims:
        claim.close()
