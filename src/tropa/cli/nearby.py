"""A file for a server on this machine, without a second copy of its bytes.

Where the filesystem can share bytes until one side changes (btrfs, XFS, bcachefs), and this user may write to the
server's folder of models, the file is put there as the server itself would. No request asks the server to read a path:
it may run with other rights than whoever asks. Everywhere else files are uploaded.
"""

from __future__ import annotations

import contextlib
import os
from io import BufferedReader
from ipaddress import ip_address
from pathlib import Path

from tropa.client.client import Client
from tropa.settings import Settings


def shared(file: BufferedReader, digest: str, server: Client) -> bool:
    """Whether the server has these bytes now. False, and nothing left behind, where it cannot be done."""
    folder = _folder()
    blobs = folder / "blobs"  # in a new folder, the first model makes it
    if not _here(server.host.host) or not os.access(blobs if blobs.exists() else folder, os.W_OK):
        return False
    from tropa.errors import TropaError
    from tropa.library.digest import Digest
    from tropa.library.store import Store

    store = Store(folder)
    try:
        with store.blobs.writer(Digest.parse(digest)) as writer:
            if not writer.clone(file):
                return False
            stored = writer.commit()
    except (TropaError, OSError):  # a full disk, a file that changes: the upload says it better
        return False
    if server.has_blob(digest):
        return True
    if stored.created:  # it keeps its models elsewhere
        with contextlib.suppress(TropaError):
            store.forget({stored.digest})
    return False


def _folder() -> Path:
    """Where a server of this user keeps its models, by the same settings."""
    text = os.environ.get("OLLAMA_MODELS", "").strip().strip("\"'")
    return (Path(text) if text else Settings().models).expanduser()


def _here(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
