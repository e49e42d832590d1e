"""`push`: the blobs that the registry lacks, then the manifest, as it is stored here."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from tropa.library import manifest as manifests
from tropa.library.errors import DamagedModel
from tropa.library.library import Library
from tropa.library.manifest import Layer
from tropa.library.name import InvalidName, Name
from tropa.library.status import SUCCESS, Status
from tropa.registry import content
from tropa.registry.errors import NothingToPush, RegistryError, Unauthorized
from tropa.registry.leaving import Leaving
from tropa.registry.limits import Limits, Tries
from tropa.registry.repository import Repository
from tropa.registry.upload import Sending

_NOT_YOURS = (
    "you are not authorized to push to this namespace, create the model under a namespace you own; "
    "'tropa login' shows the key to register"
)


class Push:
    """One push of one name. `statuses` blocks on network and disk; it ends with `success`, or by raising."""

    def __init__(
        self, library: Library, name: Name, repository: Repository, limits: Limits, leaving: Leaving
    ) -> None:
        self._library = library
        self._name = name
        self._repository = repository
        self._limits = limits
        self._leaving = leaving

    def statuses(self) -> Iterator[Status]:
        yield Status("retrieving manifest")
        data = self._stored()
        if data is None:
            yield Status("couldn't retrieve manifest")
            if self._library.contents(self._name) is not None:
                raise NothingToPush(
                    f"model '{self._name.short}' came with the program and has no manifest to push",
                    hint=f"give it a name of your own first: tropa cp {self._name.short} NAMESPACE/NAME",
                )
            raise NothingToPush(
                f"model '{self._name.short}' not found",
                hint=f"give a model that is here this name first: tropa cp MODEL {self._name.short}",
            )
        found = manifests.parse(data)
        with self._library.store.claim() as claim:
            claim.add(*found.digests())
            for layer in {layer.blob: layer for layer in found.blobs()}.values():
                yield from self._blob(layer)
        yield Status("pushing manifest")
        tries = Tries(self._limits, self._leaving)
        while True:
            try:
                self._repository.put_manifest(data, content.media_type(data), self._leaving)
                break
            except RegistryError as error:
                tries.failed(error)
        yield SUCCESS

    def _stored(self) -> bytes | None:
        found = self._library.store.find(self._name)
        return None if found is None else self._library.store.read(found.path)

    def _blob(self, layer: Layer) -> Iterator[Status]:
        blobs = self._library.store.blobs
        if not blobs.has(layer.blob) or blobs.size(layer.blob) != layer.size:
            raise DamagedModel(
                f"model '{self._name.short}' is damaged: its blob {layer.digest} is missing or has another size",
                hint="make it anew (pull or create) before pushing it",
            )
        message = f"pushing {layer.blob.hex[:12]}"
        sending = Sending(
            layer.blob, blobs.path(layer.blob), layer.size, self._mountable(layer), self._repository, self._limits,
            self._leaving,
        )  # fmt: skip
        threading.Thread(target=sending.run, name=message, daemon=True).start()
        while not sending.ended.wait(self._limits.tick):
            self._leaving.check()
            yield Status(message, layer.digest, layer.size, min(sending.done, layer.size))
        if isinstance(sending.error, Unauthorized) and self._repository.remote.signs:
            raise Unauthorized(_NOT_YOURS) from sending.error
        if sending.error is not None:
            raise sending.error
        yield Status(message, layer.digest, layer.size, layer.size)

    def _mountable(self, layer: Layer) -> str | None:
        """The repository of the same registry that a layer came from, if that is known."""
        try:
            source = Name.parse(layer.source) if layer.source else None
        except InvalidName:
            return None
        if source is None or source.host.lower() != self._name.host.lower():
            return None
        repository = f"{source.namespace}/{source.model}"
        return None if repository == self._repository.remote.repository else repository
