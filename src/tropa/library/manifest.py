"""Manifests and configs: JSON from outside, read with limits and stored as received.

Only what Tropa uses is typed. Whatever else a manifest holds stays in its bytes, because those bytes are its
identity.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from tropa.library.digest import Digest, InvalidDigest
from tropa.library.errors import InvalidManifest

MEDIA_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
_IMAGE = "application/vnd.ollama.image."
MODEL, PROJECTOR, ADAPTER, DRAFT = (_IMAGE + kind for kind in ("model", "projector", "adapter", "draft"))
TEMPLATE, PROMPT, SYSTEM, PARAMS = (_IMAGE + kind for kind in ("template", "prompt", "system", "params"))
MESSAGES, LICENSE, TENSOR = (_IMAGE + kind for kind in ("messages", "license", "tensor"))

MANIFEST_LIMIT = 16 << 20
CONFIG_LIMIT = 4 << 20
_LARGEST = (1 << 63) - 1


class Layer(
    msgspec.Struct, frozen=True, omit_defaults=True, rename={"media_type": "mediaType", "source": "from"}
):
    """A blob and what it is for. `source` is the short name of the model it was taken from."""

    media_type: str
    digest: str
    size: int
    source: str = ""
    name: str = ""

    @property
    def blob(self) -> Digest:
        return Digest.parse(self.digest)


class Manifest(msgspec.Struct, frozen=True, rename="camel"):
    """The list of blobs that make up a model. Made by :func:`parse` or :func:`compose`, never by hand."""

    schema_version: int = 2
    media_type: str = MEDIA_TYPE
    config: Layer | None = None
    layers: list[Layer] | None = None

    def blobs(self) -> Iterator[Layer]:
        """Everything it names: its layers in order, then the config."""
        yield from self.layers or ()
        if self.config is not None and self.config.digest:
            yield self.config

    def digests(self) -> frozenset[Digest]:
        return frozenset(layer.blob for layer in self.blobs())

    def of(self, *media_types: str) -> list[Layer]:
        return [layer for layer in self.layers or () if layer.media_type in media_types]

    @property
    def size(self) -> int:
        """What listings show: all layers and the config, duplicates counted."""
        return sum(layer.size for layer in self.blobs())


class Config(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the config blob says about a model."""

    model_format: str = ""
    model_family: str = ""
    model_families: list[str] | None = None
    model_type: str = ""
    file_type: str = ""
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    remote_host: str = ""
    remote_model: str = ""
    capabilities: list[str] | None = None
    context_length: int = 0
    embedding_length: int = 0
    base_name: str = ""


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def identity(data: bytes) -> str:
    """The ID of the model whose manifest file has these bytes."""
    return hashlib.sha256(data).hexdigest()


def parse(data: bytes) -> Manifest:
    """Read untrusted bytes. Everything a returned manifest names has a valid digest and a possible size."""
    manifest = _decode(data, Manifest, "manifest", MANIFEST_LIMIT)
    for layer in manifest.blobs():
        try:
            Digest.parse(layer.digest)
        except InvalidDigest as error:
            raise InvalidManifest(f"manifest names a blob by {layer.digest[:100]!r}: {error}") from error
        if not 0 <= layer.size <= _LARGEST:
            raise InvalidManifest(f"manifest gives the blob {layer.digest} the size {layer.size}")
    return manifest


def parse_config(data: bytes) -> Config:
    return _decode(data, Config, "config", CONFIG_LIMIT)


def compose(config: Layer, layers: list[Layer]) -> bytes:
    """The bytes of a new manifest: compact JSON and a newline."""
    return msgspec.json.encode(Manifest(config=config, layers=layers)) + b"\n"


def compose_config(config: Config, layers: list[Layer], inherited: dict[str, Any] | None = None) -> bytes:
    """The bytes of a new config; fields of the base that Tropa does not know are carried over."""
    fields: dict[str, Any] = dict(inherited or {})
    fields |= {
        "model_format": config.model_format,
        "model_family": config.model_family,
        "model_families": config.model_families,
        "model_type": config.model_type,
        "file_type": config.file_type,
    }
    for key in Config.__struct_fields__[5:]:
        if value := getattr(config, key):
            fields[key] = value
        else:
            fields.pop(key, None)
    digests = [layer.digest for layer in layers]
    fields |= {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": digests}}
    return go_json(fields)


def go_json(value: object) -> bytes:
    """Compact JSON as Go writes it, so that equal layers get equal digests: no `<`, `>`, `&`; a newline."""
    text = msgspec.json.encode(value)
    for char in (b"<", b">", b"&"):
        text = text.replace(char, b"\\u%04x" % ord(char))
    return text + b"\n"


def _decode(data: bytes, kind: type[_Struct], what: str, limit: int) -> _Struct:
    if len(data) > limit:
        raise InvalidManifest(f"{what} is too large: {len(data)} bytes, at most {limit} are read")
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError):
        pass  # what follows is slower and takes what the reference takes, or says what is wrong
    try:
        return msgspec.convert(_without_nulls(_first_value(data)), type=kind)
    except (ValueError, RecursionError) as error:  # msgspec's and json's own errors are ValueErrors
        raise InvalidManifest(f"invalid {what}: {str(error)[:300]}") from error


def _first_value(data: bytes) -> object:
    """Only the first JSON value of a file counts; files with something behind it exist."""
    text = data.decode(errors="replace").lstrip(" \t\r\n")
    value: object = json.JSONDecoder().raw_decode(text)[0]
    return value


def _without_nulls(value: object) -> object:
    """`null` is the same as leaving the field out."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
