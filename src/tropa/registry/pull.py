"""`pull`: the manifest, then the blobs it names, then the manifest's bytes under the model's name."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

import msgspec

from tropa.errors import TropaError
from tropa.library import manifest as manifests
from tropa.library.create import create
from tropa.library.digest import Digest
from tropa.library.errors import InvalidManifest, StoreUnusable
from tropa.library.library import Library
from tropa.library.manifest import Layer, Manifest
from tropa.library.name import Name
from tropa.library.recipe import Recipe
from tropa.library.status import SUCCESS, Status
from tropa.library.store import mentions
from tropa.registry import content, hub
from tropa.registry.download import Downloads
from tropa.registry.errors import NotEnoughSpace, PullFailed, RegistryError, Unauthorized
from tropa.registry.hub import Hub, Part
from tropa.registry.leaving import Leaving
from tropa.registry.limits import Limits, Tries
from tropa.registry.partial import progress_of
from tropa.registry.repository import Repository
from tropa.text.sizes import format_size

T = TypeVar("T")
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
        hub: Hub | None = None,
    ) -> None:
        self._library = library
        self._blobs = library.store.blobs
        self._name = name
        self._repository = repository
        self._downloads = downloads
        self._limits = limits
        self._leaving = leaving
        self._hub = hub

    def statuses(self) -> Iterator[Status]:
        yield Status("pulling manifest")
        try:
            data, found = self._manifest()
        except PullFailed as error:
            yield from self._joined(self._parts(error))
            return
        with self._library.store.claim() as claim:
            claim.add(*found.digests())  # first claim, then look: what is here now stays here
            self._check_space(found)
            for layer in found.blobs():
                yield from self._blob(layer, self._repository)
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
        try:
            _, found = self._manifest()
        except PullFailed as error:
            found = Manifest(layers=[part.layer for part in self._parts(error)])
        for layer in _once(found):
            here = layer.size if self._is_here(layer) else progress_of(self._blobs, layer.blob, layer.size)
            yield Status(f"{_kind(layer)} {layer.blob.hex[:12]}", layer.digest, layer.size, here)
        yield SUCCESS

    def _parts(self, refused: PullFailed) -> list[Part]:
        """The files of a model that Hugging Face's registry does not hand out because it is split.

        Raises what was `refused` if it was for another reason.
        """
        if self._hub is None or not hub.is_split(self._repository.remote, refused.__cause__):
            raise refused
        plain = self._hub
        try:
            return self._tried(lambda: plain.parts(self._leaving))
        except RegistryError as error:
            self._leaving.check()
            if error.hint is None or isinstance(error, Unauthorized):  # the key is of no use to the files
                error.hint = _SHARDED
            raise PullFailed(error) from error

    def _joined(self, parts: list[Part]) -> Iterator[Status]:
        """The files of a split model, and then the model that they are together. The files go again."""
        assert self._hub is not None
        store, found = self._library.store, Manifest(layers=[part.layer for part in parts])
        listed = [str(part.digest) for part in parts]
        if self._is_made_of(listed):
            yield SUCCESS
            return
        with store.claim() as claim:
            claim.add(*found.digests())
            self._check_space(found, found.size)
            for layer in _once(found):
                yield from self._blob(layer, self._hub)
            yield Status("verifying sha256 digest")
            files = {part.file: part.digest for part in parts}
            made = Recipe(name=self._name, files=files, info={hub.PARTS: listed})
            with closing(create(self._library, made)) as statuses:  # what is half joined goes at once
                for status in statuses:
                    self._leaving.check()
                    if status != SUCCESS:
                        yield status
        if self._library.prune:
            store.forget(set(found.digests()))
        yield SUCCESS

    def _is_made_of(self, parts: list[str]) -> bool:
        """Whether the model that has the name now was joined of just these files, and is whole."""
        try:
            before = self._library.store.find(self._name)
            known = manifests.parse(self._library.store.read(before.path)) if before else Manifest()
            if known.config is None or len(known.layers or ()) != 1:
                return False
            config = msgspec.json.decode(self._blobs.read(known.config.blob, manifests.CONFIG_LIMIT))
        except (TropaError, ValueError, RecursionError):
            return False
        same = isinstance(config, dict) and config.get(hub.PARTS) == parts
        return same and all(self._is_here(layer) for layer in known.blobs())

    def _manifest(self) -> tuple[bytes, Manifest]:
        remote = self._repository.remote
        try:
            data = self._fetched(remote.reference)
            return content.model_of(data, f"{remote.url}/manifests/{remote.reference}", self._fetched)
        except (RegistryError, InvalidManifest) as error:
            self._leaving.check()
            raise PullFailed(error) from error

    def _fetched(self, reference: str) -> bytes:
        return self._tried(lambda: self._repository.manifest(reference, self._leaving))

    def _tried(self, ask: Callable[[], T]) -> T:
        # Somebody may be waiting at a terminal, with a name that has a typo or a cable that is not plugged in.
        hasty = replace(self._limits, tries=min(self._limits.tries, 3), backoff=self._limits.backoff / 2)
        tries = Tries(hasty, self._leaving)
        while True:
            try:
                return ask()
            except RegistryError as error:
                tries.failed(error)

    def _blob(self, layer: Layer, repository: Repository) -> Iterator[Status]:
        message = f"pulling {layer.blob.hex[:12]}"
        if self._is_here(layer):
            yield Status(message, layer.digest, layer.size, layer.size)
            return
        share = self._downloads.join(layer.blob, layer.size, repository, self._leaving)
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

    def _check_space(self, found: Manifest, more: int = 0) -> None:
        """`more`: bytes of what will be made of the blobs."""
        needed = more + sum(
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
