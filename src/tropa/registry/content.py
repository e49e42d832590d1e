"""What a registry calls a manifest, looked at before anything is fetched for it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import msgspec

from tropa.library import manifest as manifests
from tropa.library.admission import objection
from tropa.library.digest import Digest, InvalidDigest
from tropa.library.manifest import Manifest
from tropa.registry.errors import UnsupportedManifest
from tropa.registry.remote import shown
from tropa.registry.repository import DOCKER_LIST, OCI_INDEX

_MACHINES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}


def model_of(data: bytes, url: str, fetch: Callable[[str], bytes]) -> tuple[bytes, Manifest]:
    """The manifest of a model, byte for byte, and what it says. An index leads to one through `fetch`.

    Raises InvalidManifest or UnsupportedManifest.
    """
    if (entries := _entries(data)) is not None:
        digest = _chosen(entries, url)
        data = fetch(digest)
        if _entries(data) is not None:
            raise UnsupportedManifest(f"{shown(url)} is an index of indexes, not a model")
    found = manifests.parse(data)
    if _fields(data).get("schemaVersion") == 1:
        raise UnsupportedManifest(f"{shown(url)}: manifests of schema version 1 are not supported")
    if against := objection(found, f"the manifest {shown(url)}"):
        raise UnsupportedManifest(against[0], hint=against[1])
    return data, found


def media_type(data: bytes) -> str:
    """Under which type a stored manifest is pushed: its own, if it names one."""
    fields = _fields(data)
    own = fields.get("mediaType")
    return (
        own if isinstance(own, str) and own and own.isascii() and own.isprintable() else manifests.MEDIA_TYPE
    )


def _entries(data: bytes) -> list[dict[str, Any]] | None:
    """The manifests of an index; None if it is none."""
    fields = _fields(data)
    entries = fields.get("manifests")
    if fields.get("mediaType") in (OCI_INDEX, DOCKER_LIST) or (
        entries is not None and "layers" not in fields
    ):
        return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return None


def _chosen(entries: list[dict[str, Any]], url: str) -> str:
    """The only one, or the only one for this machine."""
    if len(entries) != 1:
        machine = _MACHINES.get(platform.machine(), platform.machine())
        entries = [each for each in entries if _platform(each) == f"linux/{machine}"] or entries
    if len(entries) != 1:
        kinds = ", ".join(_platform(each)[:40] for each in entries[:5]) or "nothing"
        raise UnsupportedManifest(
            f"{shown(url)} is an index of {len(entries)} manifests ({kinds}), not a model",
            hint="name a tag that is one model",
        )
    try:
        return str(Digest.parse(entries[0].get("digest")))
    except InvalidDigest as error:
        raise UnsupportedManifest(f"{shown(url)}: its index names a manifest by no digest") from error


def _platform(entry: dict[str, Any]) -> str:
    where = entry.get("platform")
    return f"{where.get('os', '')}/{where.get('architecture', '')}" if isinstance(where, dict) else "any"


def _fields(data: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
