"""Where the bytes of the models are: each model's files, and which other models use the same ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tropa.errors import TropaError
from tropa.library import manifest
from tropa.library.digest import Digest
from tropa.library.library import Library
from tropa.library.manifest import Manifest
from tropa.library.name import Name
from tropa.library.sharing import Sharing, sharing


@dataclass(frozen=True, slots=True)
class File:
    """A blob, and what a model uses it for: `model`, `template`, `config`, …"""

    kind: str
    digest: Digest
    path: Path
    size: int
    """Bytes; of a missing one, what it should have."""
    missing: bool = False
    others: tuple[Name, ...] = ()
    """The other models that use it."""
    sharing: Sharing | None = None
    """Its bytes are another file's too: one outside the folder."""


@dataclass(frozen=True, slots=True)
class Usage:
    """A model's files: its layers in order, then its config. `problem` if the manifest can't be read."""

    name: Name
    files: tuple[File, ...]
    problem: str = ""


def usage(library: Library) -> list[Usage]:
    """All models, in the order of `Library.models`."""
    listed = [_usage(library, model.name) for model in library.models()]
    users: defaultdict[Digest, list[Name]] = defaultdict(list)
    for each in listed:
        for digest in dict.fromkeys(file.digest for file in each.files):
            users[digest].append(each.name)
    return [
        replace(
            each,
            files=tuple(
                replace(file, others=tuple(name for name in users[file.digest] if name != each.name))
                for file in each.files
            ),
        )
        for each in listed
    ]


def _usage(library: Library, name: Name) -> Usage:
    if (contents := library.contents(name)) is not None:
        # The texts of the bundled model are in no file.
        weights = contents.weights
        return Usage(name, (_file("model", weights.digest, weights.path, 0),))
    try:
        if (found := library.store.find(name)) is None:
            return Usage(name, (), "it was removed just now")
        made = manifest.parse(library.store.read(found.path))
        return Usage(name, tuple(_files(library, made)))
    except TropaError as error:
        return Usage(name, (), str(error))


def _files(library: Library, made: Manifest) -> Iterator[File]:
    for layer in made.blobs():
        kind = "config" if layer is made.config else layer.media_type.rpartition(".")[2]
        yield _file(kind, layer.blob, library.store.blobs.path(layer.blob), layer.size)


def _file(kind: str, digest: Digest, path: Path, size: int) -> File:
    try:
        return File(kind, digest, path, path.stat().st_size, sharing=sharing(path))
    except OSError:
        return File(kind, digest, path, size, missing=True)
