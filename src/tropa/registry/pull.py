"""`pull`: the manifest, then the blobs it names, then the manifest's bytes under the model's name."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace

from tropa.errors import TropaError
from tropa.library import manifest as manifests
from tropa.library.digest import Digest
from tropa.library.errors import InvalidManifest, StoreUnusable
from tropa.library.library import Library
from tropa.library.manifest import Layer, Manifest
from tropa.library.name import Name
from tropa.library.status import SUCCESS, Status
from tropa.library.store import mentions
from tropa.registry import content
from tropa.registry.download import Downloads
from tropa.registry.errors import NotEnoughSpace, PullFailed, RegistryError
from tropa.registry.leaving import Leaving
from tropa.registry.limits import Limits, Tries
from tropa.registry.partial import progress_of
from tropa.registry.remote import HUGGING_FACE
from tropa.registry.repository import Repository
from tropa.text.sizes import format_size

_SHARDED = (
    "download its .gguf files, and 'tropa create' a model whose Modelfile names the first of them in FROM"
)


class Pull:
    """One pull of one name. `statuses` blocks on network and disk; it ends with `success`, or by raising."""

    def __init__(
        self,
        library: Library,
        name: Name,
        repository: Repository,
        downloads: Downloads,
        limits: Limits,
        leaving: Leaving,
    ) -> None:
        self._library = library
        self._blobs = library.store.blobs
        self._name = name
        self._repository = repository
        self._downloads = downloads
        self._limits = limits
        self._leaving = leaving

    def statuses(self) -> Iterator[Status]:
        yield Status("pulling manifest")
        data, found = self._manifest()
        with self._library.store.claim() as claim:
            claim.add(*found.digests())  # first claim, then look: what is here now stays here
            self._check_space(found)
            for layer in found.blobs():
                yield from self._blob(layer)
            yield Status("verifying sha256 digest")
            self._check_config(found)
            yield Status("writing manifest")
            prune = self._library.prune
            superseded = prune and bool(self._before() - found.digests())
            name = self._library.resolve(self._name)
            self._library.store.write(name, data, claim=claim, prune=prune)
            if superseded:
                yield Status("removing unused layers")
        yield SUCCESS

    def sizes(self) -> Iterator[Status]:
        """What a pull would fetch: for each blob its size, and how much of it is here. Changes nothing."""
        yield Status("pulling manifest")
        _, found = self._manifest()
        for layer in _once(found):
            here = layer.size if self._is_here(layer) else progress_of(self._blobs, layer.blob, layer.size)
            yield Status(f"{_kind(layer)} {layer.blob.hex[:12]}", layer.digest, layer.size, here)
        yield SUCCESS

    def _manifest(self) -> tuple[bytes, Manifest]:
        remote = self._repository.remote
        try:
            data = self._fetched(remote.reference)
            return content.model_of(data, f"{remote.url}/manifests/{remote.reference}", self._fetched)
        except (RegistryError, InvalidManifest) as error:
            self._leaving.check()
            if remote.host.lower() in HUGGING_FACE and "sharded" in str(error).lower():
                error.hint = _SHARDED
            raise PullFailed(error) from error

    def _fetched(self, reference: str) -> bytes:
        # Somebody may be waiting at a terminal, with a name that has a typo or a cable that is not plugged in.
        hasty = replace(self._limits, tries=min(self._limits.tries, 3), backoff=self._limits.backoff / 2)
        tries = Tries(hasty, self._leaving)
        while True:
            try:
                return self._repository.manifest(reference, self._leaving)
            except RegistryError as error:
                tries.failed(error)

    def _blob(self, layer: Layer) -> Iterator[Status]:
        message = f"pulling {layer.blob.hex[:12]}"
        if self._is_here(layer):
            yield Status(message, layer.digest, layer.size, layer.size)
            return
        share = self._downloads.join(layer.blob, layer.size, self._repository, self._leaving)
        download = share.download
        try:
            with self._leaving.interrupting(share.leave):
                before = progress_of(self._blobs, layer.blob, layer.size)
                yield Status(message, layer.digest, layer.size, before)
                while not download.ended.wait(self._limits.tick):
                    self._leaving.check()
                    yield Status(message, layer.digest, layer.size, min(download.done, layer.size))
            if download.error is not None:
                raise download.error
        finally:
            share.leave()
        yield Status(message, layer.digest, layer.size, layer.size)

    def _is_here(self, layer: Layer) -> bool:
        """A blob of another size than the manifest says is not it, whatever its name."""
        return self._blobs.keep(layer.blob) and self._blobs.size(layer.blob) == layer.size

    def _check_space(self, found: Manifest) -> None:
        needed = sum(
            layer.size - progress_of(self._blobs, layer.blob, layer.size)
            for layer in _once(found)
            if not self._is_here(layer)
        )
        try:
            free = shutil.disk_usage(self._library.store.root).free
        except OSError as error:
            raise StoreUnusable(f'cannot look at "{self._library.store.root}": {error.strerror}') from error
        if needed > free:
            raise NotEnoughSpace(
                f"{self._name.short} needs {format_size(needed)}, and {self._library.store.root} has "
                f"{format_size(free)} free ({needed} and {free} bytes)",
                hint="free some space, or set OLLAMA_MODELS to a folder on a larger disk",
            )

    def _check_config(self, found: Manifest) -> None:
        assert found.config is not None
        data = self._blobs.read(found.config.blob, manifests.CONFIG_LIMIT)
        manifests.parse_config(data)

    def _before(self) -> frozenset[Digest]:
        """What the model that has the name now is made of."""
        try:
            before = self._library.store.find(self._name)
            return frozenset(mentions(self._library.store.read(before.path))) if before else frozenset()
        except TropaError:
            return frozenset()


def _once(found: Manifest) -> Iterator[Layer]:
    """Each blob of a manifest, though it may name some twice."""
    yield from {layer.blob: layer for layer in found.blobs()}.values()


def _kind(layer: Layer) -> str:
    if layer.media_type in (manifests.CONFIG, ""):
        return "config"
    return layer.media_type.rpartition("/")[2].removeprefix("vnd.ollama.image.")
