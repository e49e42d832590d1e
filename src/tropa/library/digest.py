"""The digest: the only name that bytes have here."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from tropa.errors import TropaError

_PATTERN = re.compile(r"sha256[:-]([0-9a-fA-F]{64})", re.ASCII)
_FILE = re.compile(r"sha256-[0-9a-f]{64}", re.ASCII)


class InvalidDigest(TropaError):
    """A text from outside that should be a digest and is not."""

    code = "invalid-digest"

    def __init__(self, text: object) -> None:
        super().__init__("invalid digest format")
        self.text = text


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256, always lower case. Whoever holds one may use it as a file name."""

    hex: str

    def __post_init__(self) -> None:
        if not _FILE.fullmatch(f"sha256-{self.hex}"):
            raise InvalidDigest(self.hex)

    @classmethod
    def parse(cls, text: object) -> Digest:
        """Accept `sha256:<hex>` and `sha256-<hex>` in any case; raise :class:`InvalidDigest` otherwise."""
        match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise InvalidDigest(text)
        return cls(match[1].lower())

    @classmethod
    def of(cls, data: bytes) -> Digest:
        return cls(hashlib.sha256(data).hexdigest())

    @property
    def file_name(self) -> str:
        return f"sha256-{self.hex}"

    def __str__(self) -> str:
        return f"sha256:{self.hex}"
