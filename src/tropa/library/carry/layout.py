"""What an image layout says: which models it holds and of what they are made. All of it is from outside.

oci-layout                  the version
index.json                  a manifest's type, digest, size and name for each model
blobs/sha256/<hex>          manifests, configs and layers alike
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from tropa.library import manifest as manifests
from tropa.library.admission import objection
from tropa.library.carry.errors import CannotImport
from tropa.library.digest import Digest, InvalidDigest
from tropa.library.manifest import Manifest
from tropa.library.name import InvalidName, Name

MARKER, INDEX, BLOBS = "oci-layout", "index.json", "blobs/sha256/"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
REF_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"  # where the other one has only the tag


@dataclass(frozen=True, slots=True)
class Carried:
    """A model in the tar. `text` is the name it has there, which may be none or only a tag."""

    text: str
    data: bytes
    manifest: Manifest

    @property
    def name(self) -> Name | None:
        """The name, if the text is a whole one: a tag alone does not say of what."""
        if "/" not in self.text and ":" not in self.text:
            return None
        try:
            return Name.parse(self.text)
        except InvalidName:
            return None

    @property
    def id(self) -> str:
        return manifests.identity(self.data)

    @property
    def size(self) -> int:
        return sum(layer.size for layer in {each.blob: each for each in self.manifest.blobs()}.values())


@dataclass(slots=True)
class Layout:
    """What was found in a tar: small things whole, of blobs their sizes."""

    marker: bytes | None = None
    index: bytes | None = None
    docker: bool = False
    names: set[str] = field(default_factory=set)
    documents: dict[Digest, bytes] = field(default_factory=dict)
    """Blobs that may be manifests or indexes, by the digest that they were found to have."""
    sizes: dict[Digest, int] = field(default_factory=dict)

    def models(self) -> list[Carried]:
        """Everything the index names, each a model. Raises CannotImport."""
        if self.index is None and self.docker:
            raise CannotImport(
                "this is what 'docker save' writes, not an OCI image layout",
                hint="copy it into one: skopeo copy docker-archive:FILE.tar oci-archive:OTHER.tar",
            )
        if self.index is None:
            raise CannotImport(f"this is no OCI image layout: it has no {INDEX}")
        self._check_marker()
        carried = [self._carried(entry) for entry in _entries(self.index, INDEX)]
        if not carried:
            raise CannotImport(f"the {INDEX} names no model: there is nothing to import")
        return carried

    def _check_marker(self) -> None:
        if self.marker is None:
            raise CannotImport(f'this is no OCI image layout: it has no "{MARKER}" file')
        version = _object(self.marker, MARKER).get("imageLayoutVersion")
        if not isinstance(version, str) or not version.startswith("1."):
            raise CannotImport(f"this image layout is of version {str(version)[:20]!r}: 1.0.0 is supported")

    def _carried(self, entry: dict[str, Any]) -> Carried:
        digest, data = self._document(entry, INDEX)
        if _is_index(entry, data):
            inner = _entries(data, f"index {digest}")
            if len(inner) != 1:
                raise CannotImport(f"{digest} is an index of {len(inner)} manifests, not a model")
            digest, data = self._document(inner[0], f"index {digest}")
        found = manifests.parse(data)
        if against := objection(found, f"the manifest {digest}"):
            raise CannotImport(against[0], hint=against[1])
        return Carried(_text(entry), data, found)

    def _document(self, entry: dict[str, Any], where: str) -> tuple[Digest, bytes]:
        try:
            digest = Digest.parse(entry.get("digest"))
        except InvalidDigest as error:
            raise CannotImport(f"the {where} names a manifest by no SHA-256 digest") from error
        if digest not in self.sizes:
            raise CannotImport(f"the manifest {digest} is missing: the {where} names it")
        size = entry.get("size")
        if size != self.sizes[digest]:
            raise CannotImport(
                f"the manifest {digest} has {self.sizes[digest]} bytes, the {where} says {size!r:.30}"
            )
        if digest not in self.documents:
            raise CannotImport(
                f"{digest} is no manifest: it is no JSON object with layers, or too large for one"
            )
        return digest, self.documents[digest]


def may_be_document(data: bytes) -> bool:
    """Is this a manifest or an index, as far as one can tell before anybody has named it?"""
    if data.lstrip()[:1] != b"{":
        return False
    try:
        value = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return b'"layers"' in data  # rather say later what is wrong with it
    return isinstance(value, dict) and ("layers" in value or "manifests" in value or "config" in value)


def media_type(data: bytes) -> str:
    """The type of a stored manifest: its own, if it names one."""
    own = _fields(data).get("mediaType")
    return (
        own if isinstance(own, str) and own and own.isascii() and own.isprintable() else manifests.MEDIA_TYPE
    )


def compose_index(entries: list[tuple[Name, bytes]]) -> bytes:
    """The index of a layout with these manifests."""
    return manifests.go_json(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                {
                    "mediaType": media_type(data),
                    "digest": str(Digest.of(data)),
                    "size": len(data),
                    "annotations": {REF_NAME: name.full},
                }
                for name, data in entries
            ],
        }
    )


def _entries(data: bytes, where: str) -> list[dict[str, Any]]:
    entries = _object(data, where).get("manifests")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise CannotImport(f"the {where} has no list of manifests")
    return entries


def _is_index(entry: dict[str, Any], data: bytes) -> bool:
    own = _fields(data)
    return any(
        kind in (OCI_INDEX, DOCKER_LIST) for kind in (entry.get("mediaType"), own.get("mediaType"))
    ) or ("manifests" in own and "layers" not in own)


def _text(entry: dict[str, Any]) -> str:
    notes = entry.get("annotations")
    notes = notes if isinstance(notes, dict) else {}
    for key in (_CONTAINERD_NAME, REF_NAME):
        if isinstance(text := notes.get(key), str) and text:
            return text
    return ""


def _fields(data: bytes) -> dict[str, Any]:
    """Nothing, if it is not JSON or has something behind it; the manifest's own reader says what is wrong."""
    try:
        return _object(data, "manifest")
    except CannotImport:
        return {}


def _object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        raise CannotImport(f"the {what} cannot be read: {str(error)[:200]}") from error
    if not isinstance(value, dict):
        raise CannotImport(f"the {what} is no JSON object")
    return value
