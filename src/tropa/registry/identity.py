"""The ed25519 key by which some registries know this machine's user. Made when it is first needed."""

from __future__ import annotations

import base64
import contextlib
import os
import threading
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING

from tropa.registry.errors import KeyUnusable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_LARGEST = 64 << 10
# The hex SHA-256 of an empty body, in base64: requests that we sign have none.
_NO_BODY = "ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ=="


def default_path() -> Path:
    """Beside the models of an existing installation, and never moved by `OLLAMA_MODELS`."""
    return Path("~/.ollama/id_ed25519").expanduser()


class Identity:
    """A key in a file. Raises KeyUnusable; never says what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._key: Ed25519PrivateKey | None = None

    @property
    def public(self) -> str:
        """`ssh-ed25519 <base64>`, as people register it."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._loaded().public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()

    def authorization(self, url: str) -> str:
        """The header that proves a GET of exactly this URL to be ours."""
        signature = self._loaded().sign(f"GET,{url},{_NO_BODY}".encode())
        return f"{self.public.split()[1]}:{base64.b64encode(signature).decode()}"

    def _loaded(self) -> Ed25519PrivateKey:
        with self._lock:
            if self._key is None:
                self._key = self._read() if self.path.exists() else self._made()
            return self._key

    def _read(self) -> Ed25519PrivateKey:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_ssh_private_key

        try:
            with self.path.open("rb") as file:
                data = file.read(_LARGEST)
        except OSError as error:
            raise KeyUnusable(f"cannot read the key {self.path}: {error.strerror}") from error
        try:
            key = load_ssh_private_key(data, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None  # told below, without what the parser found
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyUnusable(
                f"{self.path} is no ed25519 key without a password",
                hint="move it away, and a new one is made",
            )
        return key

    def _made(self) -> Ed25519PrivateKey:
        """Whole or not at all; if another process is quicker, its key is the one."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            PublicFormat,
        )

        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b"\n"
        try:
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            fd, temporary = mkstemp(dir=self.path.parent, prefix=".id_ed25519-")  # 0600 from its first moment
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(private)
                    file.flush()
                    os.fsync(file.fileno())
                _place(temporary, self.path)
            except FileExistsError:
                return self._read()
            finally:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
            self.path.with_name(f"{self.path.name}.pub").write_bytes(public)
        except OSError as error:
            raise KeyUnusable(f"cannot make the key {self.path}: {error.strerror}") from error
        return key


def _place(temporary: str, path: Path) -> None:
    """Give the file its name, unless somebody has it. Raises FileExistsError."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a filesystem without second names
        if path.exists():
            raise FileExistsError(path) from None
        Path(temporary).replace(path)
