"""Which server a command talks to."""

from __future__ import annotations

import os
import sys

from tropa.cli.command import UsageError
from tropa.client.client import CONNECT_TIMEOUT, Client
from tropa.text.address import Host, parse_host


def host() -> Host:
    """`OLLAMA_HOST`. The other settings are the server's; a bad one is no reason to refuse `tropa ps`."""
    text = os.environ.get("OLLAMA_HOST", "").strip().strip("\"'")
    try:
        host = parse_host(text) if text else Host()
    except ValueError as exc:
        raise UsageError(f"OLLAMA_HOST={text}: {exc}") from exc
    if host.warning:
        sys.stderr.write(f"Warning: OLLAMA_HOST={text}: {host.warning}\n")
    return host


def client(*, timeout: float = CONNECT_TIMEOUT, patience: float | None = None) -> Client:
    return Client(host(), timeout=timeout, patience=patience, key=key())


def key() -> str | None:
    """`TROPA_API_KEY`, or the name that other clients know: `OLLAMA_API_KEY`."""
    for name in ("TROPA_API_KEY", "OLLAMA_API_KEY"):
        if text := os.environ.get(name, "").strip():
            if not (text.isascii() and text.isprintable()):
                raise UsageError(f"{name}: a key has none but printable ASCII characters")
            return text
    return None
