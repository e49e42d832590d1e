"""The models of this machine: those in the store, and the one that came with the program.

The bundled model lies over the store like a film: it is listed and found as long as the store has no model of
its name, and takes no space there. A user's own model of that name hides it. Removing it is remembered in the
store's folder, since the package is not ours to change; `restore` takes that back.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from tropa.gguf.recent import recent
from tropa.library import disk, fitness, manifest
from tropa.library.architectures import SUPPORTED
from tropa.library.assembly import Assembly
from tropa.library.bundled import Bundled, Contents
from tropa.library.digest import Digest
from tropa.library.errors import BlobNotFound, CloudDisabled, DamagedModel, ModelNotFound
from tropa.library.header import Headers
from tropa.library.model import Model
from tropa.library.name import InvalidName, Name, Source, resolve, source, stub
from tropa.library.prune import Pruned, prune
from tropa.library.store import Found, Store

_Stamps = tuple[tuple[Path, tuple[int, ...]], ...]


class Library:
    """Safe from any thread, and with any number of processes on one folder. All calls block on the disk."""

    def __init__(
        self,
        root: Path,
        bundled: Bundled | None = None,
        *,
        prune: bool = True,
        architectures: frozenset[str] | None = SUPPORTED,
    ) -> None:
        """`prune` False is `OLLAMA_NOPRUNE`. `architectures` None means: the engine is not ours, it will say
        itself.
        """
        self.store = Store(root.expanduser())
        self.bundled = bundled
        self.prune = prune
        self.architectures = architectures
        self.headers = Headers(self.store.blobs.folder, self.store.home / "headers")
        self._lock = threading.Lock()
        self._models: dict[Path, tuple[tuple[int, ...], _Stamps, Model]] = {}
        self._fit: dict[Path, str] = {}

    def open(self, *, now: Callable[[], float] = time.time) -> Pruned:
        """Once, at start: make the folder and tidy it. Raises StoreUnusable if it cannot be written to."""
        result = prune(self.store, unused=self.prune, now=now)
        with disk.usable(self.store.root):
            self.headers.forget_unused()
        return result

    def find(self, text: str) -> Model:
        """The model that a client means. Raises InvalidName, ModelNotFound, CloudDisabled or DamagedModel."""
        base, where = source(text)
        if where is Source.CLOUD:
            raise CloudDisabled
        if not base:
            raise ModelNotFound(text)
        model = self.get(Name.parse(base))
        if model is None:
            raise ModelNotFound(text)
        if model.remote_host:
            raise CloudDisabled
        if model.problems:
            raise DamagedModel(
                f"model '{model.name}' is damaged: {'; '.join(model.problems)}",
                hint=f"make it anew (pull or create), or remove it with: tropa rm {model.name}",
            )
        return model

    def check_fit(self, model: Model) -> None:
        """Raises UnsupportedArchitecture if the engine would refuse the weights: those that were pulled, or put
        here by hand, have met no check before. Each model is looked at once.
        """
        if model.weights is None or self._fit.get(model.weights.path) == model.id:
            return
        fitness.check(f"model '{model.name.short}'", recent.read(model.weights.path), self.architectures)
        self._fit[model.weights.path] = model.id

    def get(self, name: Name) -> Model | None:
        """The model of a name, in any letter case, damaged or not; None if there is none."""
        if (found := self.store.find(name)) is not None:
            with suppress(FileNotFoundError):
                return self._model(found)
        if (contents := self._overlay(name)) is not None:
            return self._bundled(contents)
        return None

    def models(self) -> list[Model]:
        """All of them, newest first; damaged ones and remote stubs too. What is no model is passed over."""
        scan = self.store.scan()
        models = []
        for found in scan.found:
            with suppress(FileNotFoundError):  # removed while we looked
                models.append(self._model(found))
        with self._lock:
            kept = {found.path for found in scan.found}
            self._models = {path: known for path, known in self._models.items() if path in kept}
        taken = {found.name.folded() for found in scan.found}
        if self.bundled is not None and self.bundled.name.folded() not in taken:
            contents = self._overlay(self.bundled.name)
            models += [self._bundled(contents)] if contents else []
        return sorted(models, key=lambda model: (-int(model.modified.timestamp()), model.name))

    def resolve(self, name: Name) -> Name:
        """`name` in the spelling that exists."""
        existing = [found.name for found in self.store.scan().found]
        if self.bundled is not None and self._overlay(name) is not None:
            existing.append(self.bundled.name)
        return resolve(name, existing)

    def copy(self, source: str, destination: str) -> None:
        """Give a model another name; no bytes are copied if the disk can share them."""
        old = _parse(source, f'source "{source}" is invalid')
        new = self.resolve(_parse(destination, f'destination "{destination}" is invalid'))
        if self.resolve(old) == new:
            if self.get(old) is None:
                raise ModelNotFound(source, f'model "{source}" not found')
            return
        if (found := self.store.find(old)) is not None:
            self.store.write(new, self.store.read(found.path), prune=self.prune)
        elif (contents := self._overlay(old)) is not None:
            with self.store.claim() as claim:
                claim.add(contents.weights.digest, *contents.texts)
                self.unpack(contents, manifest.parse(contents.manifest).digests())
                self.store.write(new, contents.manifest, claim=claim, prune=self.prune)
        else:
            raise ModelNotFound(source, f'model "{source}" not found')

    def delete(self, text: str) -> None:
        """Remove a model, and the blobs only it used. The bundled one is hidden until it is restored."""
        base, where = source(text)
        name = _parse(stub(base) if where is Source.CLOUD else base, f'name "{text}" is invalid')
        if self.store.remove(name):
            return
        if self._overlay(name) is None:
            raise ModelNotFound(text)
        with disk.usable(self.store.root):
            disk.make(self._hidden.parent)
            self._hidden.touch()
            disk.sync(self._hidden.parent)

    def restore(self, name: Name) -> bool:
        """Bring the bundled model back if it was removed. False if `name` is not its name, or it is not
        hidden.
        """
        if self.bundled is None or name.folded() != self.bundled.name.folded():
            return False
        with disk.usable(self.store.root):
            return disk.remove(self._hidden)

    def unpack(self, contents: Contents, wanted: Iterable[Digest]) -> None:
        """Put blobs of the bundled model into the store, without a second copy where that is safe."""
        assert self.bundled is not None
        blobs = self.store.blobs
        for digest in wanted:
            if digest in contents.texts:
                blobs.put_bytes(contents.texts[digest])
            elif not blobs.keep(digest):
                blobs.adopt(contents.weights.path, digest, immutable=self.bundled.immutable)

    def contents(self, name: Name) -> Contents | None:
        """What the bundled model is made of, if that is what `name` means here and now."""
        return self._overlay(name) if self.store.find(name) is None else None

    @property
    def hidden(self) -> bool:
        """Was the bundled model removed?"""
        return self._hidden.exists()

    @property
    def _hidden(self) -> Path:
        return self.store.home / "bundled-removed"

    def _overlay(self, name: Name) -> Contents | None:
        """The bundled model, if `name` is its name and it was not removed; the store is not asked here."""
        if self.bundled is None or name.folded() != self.bundled.name.folded() or self._hidden.exists():
            return None
        return self.bundled.contents()

    def _model(self, found: Found) -> Model:
        with self._lock:
            known = self._models.get(found.path)
        if known is not None and known[0] == found.stamp and known[1] == _stamps(known[2]):
            return known[2]
        if not found.path.exists():
            raise FileNotFoundError(found.path)
        assembly = Assembly(self.store.blobs, self.headers)
        model = assembly.model(found.name, self.store.read(found.path), found.modified_ns)
        if not model.problems:  # a problem may be mended behind our back, so it is looked for each time
            with self._lock:
                self._models[found.path] = found.stamp, _stamps(model), model
        return model

    def _bundled(self, contents: Contents) -> Model:
        assert self.bundled is not None
        modified = contents.weights.path.stat().st_mtime_ns
        assembly = Assembly(_Overlaid(contents), self.headers)
        return assembly.model(self.bundled.name, contents.manifest, modified, bundled=True)


class _Overlaid:
    """The blobs of the bundled model, where they are."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents

    def path(self, digest: Digest) -> Path:
        if digest != self._contents.weights.digest:
            raise BlobNotFound(digest)
        return self._contents.weights.path

    def read(self, digest: Digest, limit: int) -> bytes:
        if digest not in self._contents.texts:
            raise BlobNotFound(digest)
        return self._contents.texts[digest][:limit]


def _parse(text: str, message: str) -> Name:
    try:
        return Name.parse(text)
    except InvalidName as error:
        raise InvalidName(text, message, full=error.full) from error


def _stamps(model: Model) -> _Stamps:
    """Of the files a model was read from beside its manifest: gone or changed, it is read again."""
    stamps = []
    for blob in (*([model.weights] if model.weights else []), *model.projectors):
        try:
            stat: os.stat_result | None = blob.path.stat()
        except OSError:
            stat = None
        stamps.append((blob.path, (stat.st_mtime_ns, stat.st_size, stat.st_ino) if stat else ()))
    return tuple(stamps)
