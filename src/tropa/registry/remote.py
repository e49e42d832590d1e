"""Where a model lies in the world: a repository at a registry, and how to speak to it."""

from __future__ import annotations

import ipaddress
import platform
import sys
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from tropa import COMPATIBLE, __version__
from tropa.library.name import Name

_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64"}
_SYSTEMS = {"win32": "windows"}

HUGGING_FACE = frozenset({"hf.co", "huggingface.co"})
"""Two names of one registry; its tokens come from the second whichever was asked."""

_ELSEWHERE = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
"""Names that people write, and where the registry of that name listens."""


def agent() -> str:
    machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
    system = _SYSTEMS.get(sys.platform, sys.platform)
    # The public registry turns away clients that it takes for too old to know a model.
    return f"ollama/{COMPATIBLE} ({machine} {system}) Go/go1.26.0 tropa/{__version__}"


@dataclass(frozen=True, slots=True)
class Remote:
    """`scheme://host/v2/repository`, at a tag or, inside an index, at a digest."""

    scheme: str
    host: str
    repository: str
    reference: str

    @classmethod
    def of(cls, name: Name, scheme: str) -> Remote:
        host = _ELSEWHERE.get(name.host.lower(), name.host)
        return cls(scheme, host, f"{name.namespace}/{name.model}", name.tag)

    @property
    def root(self) -> str:
        return f"{self.scheme}://{self.host}/v2/"

    @property
    def url(self) -> str:
        return f"{self.root}{self.repository}"

    @property
    def signs(self) -> bool:
        """Whether this registry knows people by their ed25519 keys."""
        host = self.host.lower()
        return host in HUGGING_FACE or host.endswith((".ollama.ai", ".ollama.com"))


def is_loopback(host: str) -> bool:
    """`host` may have a port."""
    name = split(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def split(url: str) -> SplitResult:
    """The parts of a URL from outside; all of them empty if it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # looked at only now, and may be no number
    except ValueError:
        return urlsplit("")
    return parts


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port: who gets credentials, and who else does not."""
    parts = split(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return parts.scheme, (parts.hostname or "").lower(), port


def shown(url: str) -> str:
    """A URL as it may be told: a query may hold signatures, and user info a password."""
    parts = split(url)
    if not parts.hostname:
        return "an address that is none"
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{parts.path}"
