"""Stores and models to test with, as small as they can be and still be real."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tests.gguf.raw import BOOL, STRING, U32, Raw, RawTensor, key
from tropa.library import manifest
from tropa.library.blobs import Blobs
from tropa.library.create import create
from tropa.library.digest import Digest
from tropa.library.library import Library
from tropa.library.manifest import Layer
from tropa.library.recipe import recipe
from tropa.library.store import Store

_KINDS = {str: STRING, int: U32, bool: BOOL}


def gguf(architecture: str = "llama", tensors: int = 1, **keys: str | int | bool) -> bytes:
    """A sound GGUF. `__` in a key stands for its dots."""
    named = {"general.architecture": architecture, f"{architecture}.block_count": 1, "general.file_type": 1}
    named |= {name.replace("__", "."): value for name, value in keys.items()}
    return Raw(
        keys=[key(name, _KINDS[type(value)], value) for name, value in named.items()],
        tensors=[RawTensor(f"t{n}", (8, 4), 0, 128 * n) for n in range(tensors)],
        data=bytes(128 * tensors),
    ).encode()


def add(blobs: Blobs, media_type: str, data: bytes) -> Layer:
    return Layer(media_type, str(blobs.put_bytes(data).digest), len(data))


def upload(library: Library, data: bytes) -> str:
    return str(library.store.blobs.put(None, [data]).digest)


def make(
    library: Library, name: str, data: bytes | None = None, *, base: str | None = None, **fields: object
) -> list[str]:
    """Create a model as a client would; the statuses come back."""
    body = {"model": name, "from": base, **fields}
    if base is None and "files" not in fields:
        body["files"] = {"model.gguf": upload(library, gguf() if data is None else data)}
    return [status.status for status in create(library, recipe(body))]


def files(root: Path) -> dict[str, str]:
    """What is in a store, by path; our own lock and claims left out."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".tropa" not in path.relative_to(root).parts
    }


def broken(store: Store) -> list[str]:
    """Everything that may not be: what a store must never have, whoever died when."""
    wrong = []
    for found in store.scan().found:
        made = manifest.parse(found.path.read_bytes())
        wrong += [f"{found.name} lacks {each}" for each in made.digests() if not store.blobs.has(each)]
    for path in store.blobs.folder.glob("sha256-*"):
        if hashlib.sha256(path.read_bytes()).hexdigest() != Digest.parse(path.name).hex:
            wrong.append(f"{path.name} holds other bytes")
    return wrong + list(store.scan().warnings)


def unused(store: Store) -> list[str]:
    """Blobs and temporary files that no manifest mentions."""
    used = {digest.file_name for digest in store.mentioned()}
    leftovers = [path.name for path in store.manifests.glob("*") if path.is_file()]
    return leftovers + [path.name for path in store.blobs.folder.iterdir() if path.name not in used]


def write_manifest(root: Path, path: str, content: object) -> Path:
    """Put a manifest file where another program would have put it."""
    file = root / "manifests" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return file
