"""Names and passwords for registries: from `tropa login`, and from Docker's configuration.

They are looked up when a registry asks for them, so a login counts at once, also for a server that runs.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from tropa.registry.errors import CredentialsUnusable

_LARGEST = 4 << 20
_HELPER = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)
_HELPER_SECONDS = 20.0
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_SERVICE = "tropa"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Either a name with its password, or an identity token to be exchanged. Its repr says nothing."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    @property
    def secrets(self) -> set[str]:
        """What must never be told."""
        return {text for text in (self.password, self.identity_token, self.basic) if text}


def default_path(environ: Mapping[str, str] = os.environ) -> Path:
    home = environ.get("XDG_CONFIG_HOME", "").strip()
    folder = Path(home) if home.startswith("/") else Path("~/.config").expanduser()
    return folder / "tropa" / "credentials.json"


class Store:
    """What `tropa login` keeps. The file lists the registries; passwords are in the system's keyring where
    there is one, else in the file, which only its owner can read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def get(self, host: str) -> Credentials | None:
        entry = self._entries().get(host.lower())
        if not isinstance(entry, dict):
            return None
        username, password = entry.get("username"), entry.get("password")
        if password is None and (ring := _keyring()) is not None:
            password = ring.get_password(f"{_SERVICE}:{host.lower()}", str(username))
        if not isinstance(username, str) or not isinstance(password, str):
            raise CredentialsUnusable(
                f"the password for {host} is not where it was put", hint=f"log in again: tropa login {host}"
            )
        return Credentials(username, password)

    def put(self, host: str, credentials: Credentials) -> str:
        """Says in words where it went."""
        entry = {"username": credentials.username}
        where = str(self.path)
        if (ring := _keyring()) is not None and _kept(ring, host.lower(), credentials):
            where = "the system's keyring"
        else:
            entry["password"] = credentials.password
        with self._lock:
            self._write({**self._entries(), host.lower(): entry})
        return where

    def remove(self, host: str) -> bool:
        """False if there was nothing."""
        with self._lock:
            entries = self._entries()
            entry = entries.pop(host.lower(), None)
            if entry is None:
                return False
            self._write(entries)
        if isinstance(entry, dict) and "password" not in entry and (ring := _keyring()) is not None:
            with contextlib.suppress(Exception):  # backends raise what they like; the entry is gone anyhow
                ring.delete_password(f"{_SERVICE}:{host.lower()}", str(entry.get("username")))
        return True

    def hosts(self) -> list[str]:
        return sorted(self._entries())

    def _entries(self) -> dict[str, Any]:
        return _json(self.path)

    def _write(self, entries: dict[str, Any]) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd, temporary = mkstemp(dir=self.path.parent)  # 0600 from its first moment
            try:
                with os.fdopen(fd, "w") as file:
                    json.dump(entries, file)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(self.path)
            except BaseException:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
                raise
        except OSError as error:
            raise CredentialsUnusable(f"cannot write {self.path}: {error.strerror}") from error


class Docker:
    """Docker's `config.json`, with its helper programs. Read only."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, environ: Mapping[str, str] = os.environ) -> Docker:
        folder = environ.get("DOCKER_CONFIG", "").strip()
        return cls((Path(folder) if folder else Path("~/.docker").expanduser()) / "config.json")

    def get(self, host: str) -> Credentials | None:
        config = _json(self.path)
        keys = _keys(host)
        helpers = config.get("credHelpers")
        for key in keys:
            if isinstance(helpers, dict) and isinstance(helper := helpers.get(key), str):
                return _helped(helper, key)
        auths = config.get("auths")
        entry = _entry(auths, keys) if isinstance(auths, dict) else None
        if isinstance(store := config.get("credsStore"), str) and store:
            for key in keys:
                if (found := _helped(store, key)) is not None:
                    return found
        return _decoded(entry) if entry else None


class Keyring:
    """Everywhere credentials may be, in order of preference."""

    def __init__(self, store: Store, docker: Docker) -> None:
        self._sources = (store, docker)

    def get(self, host: str) -> Credentials | None:
        for source in self._sources:
            if (found := source.get(host)) is not None:
                return found
        return None


def default() -> Keyring:
    return Keyring(Store(default_path()), Docker.of())


def _json(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            value = json.loads(file.read(_LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise CredentialsUnusable(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError):  # the parser's own words would quote the file
        raise CredentialsUnusable(f"{path} is no JSON") from None
    if not isinstance(value, dict):
        raise CredentialsUnusable(f"{path} is no JSON object")
    return value


def _keys(host: str) -> list[str]:
    """The spellings under which Docker's files know a registry."""
    host = host.lower()
    known = [host, f"https://{host}", f"http://{host}", f"https://{host}/v1/", f"https://{host}/v2/"]
    if host in _DOCKER_HUB:
        known = ["https://index.docker.io/v1/", *known, *sorted(_DOCKER_HUB)]
    return known


def _entry(auths: dict[str, Any], keys: list[str]) -> dict[str, Any] | None:
    for key in keys:
        for written in (key, f"{key}/"):
            if isinstance(entry := auths.get(written), dict) and entry:
                return entry
    return None


def _decoded(entry: dict[str, Any]) -> Credentials | None:
    if isinstance(token := entry.get("identitytoken"), str) and token:
        return Credentials(identity_token=token)
    if isinstance(text := entry.get("auth"), str) and text:
        try:
            name, colon, secret = base64.b64decode(text).decode().partition(":")
        except ValueError:
            name = colon = secret = ""
        if not colon:
            raise CredentialsUnusable("an entry of Docker's config.json cannot be read")
        return Credentials(name, secret.rstrip("\0"))
    username, password = entry.get("username"), entry.get("password")
    if isinstance(username, str) and isinstance(password, str) and username:
        return Credentials(username, password)
    return None


def _helped(helper: str, key: str) -> Credentials | None:
    """Ask `docker-credential-<helper>`. That it knows nothing, or is not installed, is an answer as well."""
    if not _HELPER.fullmatch(helper):
        raise CredentialsUnusable("Docker's config.json names a credential helper that is no program's name")
    try:
        asked = subprocess.run(
            [f"docker-credential-{helper}", "get"],
            input=key.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_HELPER_SECONDS,
            check=False,
        )
        answer = json.loads(asked.stdout) if asked.returncode == 0 else {}
    except (OSError, subprocess.TimeoutExpired):
        return None
    except ValueError:
        raise CredentialsUnusable(f"docker-credential-{helper} answers with no JSON") from None
    username, secret = answer.get("Username"), answer.get("Secret")
    if not isinstance(username, str) or not isinstance(secret, str) or not secret:
        return None
    return Credentials(identity_token=secret) if username == "<token>" else Credentials(username, secret)


def _keyring() -> Any:
    """The system's keyring, if the `keyring` package is installed and finds one that keeps things."""
    try:
        import keyring
        from keyring.backends import fail, null
    except ImportError:
        return None
    try:
        backend = keyring.get_keyring()
    except Exception:  # noqa: BLE001 - backends raise what they like while they are looked for
        return None
    return None if isinstance(backend, fail.Keyring | null.Keyring) else backend


def _kept(ring: Any, host: str, credentials: Credentials) -> bool:
    try:
        ring.set_password(f"{_SERVICE}:{host}", credentials.username, credentials.password)
        return bool(ring.get_password(f"{_SERVICE}:{host}", credentials.username) == credentials.password)
    except Exception:  # noqa: BLE001 - a locked or missing keyring, said in as many ways as there are backends
        return False
