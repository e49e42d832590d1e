"""Identifiers of this dialect: a prefix that says what it is, and chance."""

from __future__ import annotations

import secrets

FINGERPRINT = "fp_ollama"
"""What the reference says of every system; clients only compare it with itself."""


def new(prefix: str) -> str:
    """`chatcmpl-` and the like with 24 digits."""
    return prefix + secrets.token_hex(12)
