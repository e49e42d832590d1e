"""From a manifest to a :class:`Model`: every layer read, what the weights say added.

Files may be missing or damaged. That makes a model with `problems`, not an error, because a list of models
must survive one bad one; who wants to run it asks :meth:`Library.find`, which refuses it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from tropa.errors import TropaError
from tropa.gguf import InvalidGGUF
from tropa.library import manifest
from tropa.library.capabilities import capabilities
from tropa.library.digest import Digest
from tropa.library.header import Header, Headers, parameter_size
from tropa.library.manifest import Config, Layer, Manifest
from tropa.library.model import Blob, Details, Message, Model
from tropa.library.name import Name

TEXT_LIMIT = 16 << 20
T = TypeVar("T")


class Source(Protocol):
    """Where the blobs of a manifest are."""

    def path(self, digest: Digest) -> Path: ...

    def read(self, digest: Digest, limit: int) -> bytes: ...


class Assembly:
    """Puts one model together."""

    def __init__(self, source: Source, headers: Headers) -> None:
        self._source = source
        self._headers = headers
        self.problems: list[str] = []

    def model(self, name: Name, data: bytes, modified_ns: int, *, bundled: bool = False) -> Model:
        made = self._attempt(lambda: manifest.parse(data), Manifest())
        config = self._config(made)
        weights = self._blobs(made, manifest.MODEL)[:1]
        header = self._header(weights[0]) if weights else None
        projectors = self._blobs(made, manifest.PROJECTOR)
        templates = self._texts(made, manifest.TEMPLATE, manifest.PROMPT)
        template = templates[-1] if templates else None
        return Model(
            name=name,
            id=manifest.identity(data),
            size=made.size,
            modified=datetime.fromtimestamp(modified_ns / 1e9, UTC),
            details=_details(made, config, header),
            weights=weights[0] if weights else None,
            adapters=self._blobs(made, manifest.ADAPTER),
            projectors=projectors,
            drafts=self._blobs(made, manifest.DRAFT),
            template=template,
            chat_template=header.chat_template if header else None,
            system="".join(self._texts(made, manifest.SYSTEM)[-1:]),
            params=self._params(made),
            messages=self._messages(made),
            licenses=self._texts(made, manifest.LICENSE),
            capabilities=capabilities(
                header,
                template=template,
                listed=tuple(config.capabilities or ()),
                projectors=tuple(each for blob in projectors if (each := self._header(blob)) is not None),
                family=config.model_family,
            ),
            context_length=header.context_length if header else config.context_length,
            embedding_length=header.embedding_length if header else config.embedding_length,
            renderer=config.renderer,
            parser=config.parser,
            requires=config.requires,
            remote_host=config.remote_host,
            remote_model=config.remote_model,
            bundled=bundled,
            problems=tuple(self.problems),
        )

    def _config(self, made: Manifest) -> Config:
        layer = made.config
        if layer is None or not layer.digest:
            return Config()
        return self._attempt(
            lambda: manifest.parse_config(self._source.read(layer.blob, manifest.CONFIG_LIMIT)), Config()
        )

    def _header(self, blob: Blob) -> Header | None:
        try:
            return self._headers.of(blob.path)
        except InvalidGGUF as error:
            self.problems.append(str(error))
            return None

    def _blobs(self, made: Manifest, kind: str) -> tuple[Blob, ...]:
        return tuple(Blob(layer.blob, self._source.path(layer.blob)) for layer in made.of(kind))

    def _texts(self, made: Manifest, *kinds: str) -> tuple[str, ...]:
        return tuple(self._data(layer).decode(errors="replace") for layer in made.of(*kinds))

    def _data(self, layer: Layer) -> bytes:
        return self._attempt(lambda: self._source.read(layer.blob, TEXT_LIMIT), b"")

    def _params(self, made: Manifest) -> dict[str, object]:
        options: dict[str, object] = {}
        for layer in made.of(manifest.PARAMS):
            options |= self._json(layer, dict[str, object]) or {}
        return {key: value for key, value in options.items() if value is not None}

    def _messages(self, made: Manifest) -> tuple[Message, ...]:
        found: tuple[Message, ...] = ()
        for layer in made.of(manifest.MESSAGES):
            found = self._json(layer, tuple[Message, ...]) or ()
        return found

    def _json(self, layer: Layer, kind: type[T]) -> T | None:
        data = self._data(layer)
        try:
            # Python's reader, for its integers: 1 and 1.0 stay apart, whatever their size
            return msgspec.convert(json.loads(data), type=kind) if data else None
        except (ValueError, RecursionError) as error:
            self.problems.append(f"the {layer.media_type.rpartition('.')[2]} layer {layer.digest}: {error}")
            return None

    def _attempt(self, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except TropaError as error:
            self.problems.append(str(error))
            return otherwise


def _details(made: Manifest, config: Config, header: Header | None) -> Details:
    """What the config says, and where it says nothing what the weights say."""
    parents = [layer.source for layer in made.of(manifest.MODEL)]
    quantization, size = config.file_type, config.model_type
    if header is not None:
        if quantization in ("", "unknown"):
            quantization = header.file_type
        size = size or parameter_size(header.parameter_count)
    return Details(
        parent_model=parents[0] if parents else "",
        format=config.model_format,
        family=config.model_family or (header.architecture if header else ""),
        families=None if config.model_families is None else tuple(config.model_families),
        parameter_size=size,
        quantization_level=quantization,
    )
