"""Who may use the API: whoever shows a key, where there are keys. Only their hashes are in memory, and in no log."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tropa.errors import TropaError
from tropa.server.listener import is_loopback
from tropa.settings import Settings, keys_of

log = logging.getLogger("tropa.server")

OPEN = "/"  # is the server alive? Load balancers and clients ask that before they have a key

BROWSABLE = ("/docs", "/openapi.json", "/metrics")
"""What people open in a browser, which asks them for the key and shows it as a password (Basic). Only what changes
nothing and runs nothing: a browser goes on showing it, also when a foreign page sends it here."""

_CHALLENGE = (b"www-authenticate", b"Bearer")
_ASK = (b"www-authenticate", b'Basic realm="tropa: the key is the password", charset="UTF-8"')

AGAIN = 1.0  # seconds after which the file of keys is looked at again

Refuse = Callable[[Scope, Send, TropaError], Awaitable[None]]


class Unauthorized(TropaError):
    """The request shows no key, or one that is not known."""

    code = "unauthorized"


class OpenToAll(TropaError):
    """The server would listen beyond this machine and ask nobody for a key."""

    code = "open-to-all"


def check(settings: Settings) -> None:
    """Raises OpenToAll unless the server is this machine's own, has keys, or was told to go without."""
    host = settings.host.host
    if settings.api_keys or settings.no_auth or is_loopback(host):
        return
    shown = f"OLLAMA_HOST={host}" if host else "OLLAMA_HOST"
    raise OpenToAll(
        f"{shown} lets other machines in, and there are no API keys",
        hint="set TROPA_API_KEYS to a list of keys or a file of them; or TROPA_NO_AUTH=1 to serve everybody who "
        "can reach this address",
    )


def forget_keys() -> None:
    """Take all keys out of our environment, which the engines inherit. The last is one that llama.cpp's server would
    ask of us, who know nothing of it: no model would ever be loaded."""
    for name in ("TROPA_API_KEYS", "TROPA_API_KEY", "OLLAMA_API_KEY", "LLAMA_API_KEY"):
        os.environ.pop(name, None)


class Keys:
    """The SHA-256 of every key that opens the door. None at all: it stands open.

    Those of a file are read again when it has changed. A file that can't be used, or holds no key, changes nothing:
    the keys as they were still count.
    """

    def __init__(self, digests: Sequence[bytes] = (), file: Path | None = None) -> None:
        self._digests = tuple(digests)
        self._file = file
        self._seen = _stamp(file)
        self._looked = time.monotonic()

    def __bool__(self) -> bool:
        return bool(self._digests)

    def know(self, key: str) -> bool:
        """Whether `key` is one of them. Takes as long for a wrong one as for the right one."""
        self._look()
        digest = hashlib.sha256(key.encode("latin-1", "replace")).digest()
        found = False
        for each in self._digests:
            found |= hmac.compare_digest(each, digest)
        return found

    def _look(self) -> None:
        if self._file is None or time.monotonic() - self._looked < AGAIN:
            return
        self._looked = time.monotonic()
        if (stamp := _stamp(self._file)) == self._seen:
            return
        self._seen = stamp
        try:
            self._digests = keys_of(self._file)
        except ValueError as exc:
            log.warning("TROPA_API_KEYS: %s; the keys as they were still count", exc)
        else:
            log.info("TROPA_API_KEYS: %s has changed: %d keys", self._file, len(self._digests))

    def admit(self, headers: Headers, *, browsable: bool = False) -> None:
        """Raises Unauthorized. A key comes as `Authorization: Bearer` or, from Anthropic's clients, as `x-api-key`;
        where people look with a browser, also as the password of `Authorization: Basic`."""
        shown = shown_in(headers)
        if browsable:
            shown += _passwords(headers)
        if not shown:
            raise Unauthorized(
                "an API key is required: send it as 'Authorization: Bearer KEY' or 'x-api-key: KEY'"
            )
        if not any(self.know(key) for key in shown):
            raise Unauthorized("this API key is not known to the server")


def shown_in(headers: Headers) -> list[str]:
    """The keys that a request shows: its client may have set both headers, of which one is a placeholder."""
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    shown = [token.strip()] if scheme.lower() == "bearer" else []
    shown.append(headers.get("x-api-key", "").strip())
    return [key for key in shown if key]


def _passwords(headers: Headers) -> list[str]:
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        password = base64.b64decode(token, validate=True).decode("latin-1").partition(":")[2]
    except (binascii.Error, ValueError):
        return []
    return [password] if password else []


def _stamp(file: Path | None) -> tuple[int, ...]:
    """What differs when a file has been written or replaced; empty where there is none."""
    try:
        found = file.stat() if file else None
    except OSError:
        return ()
    return (found.st_mtime_ns, found.st_size, found.st_ino) if found else ()


def browsable(scope: Scope) -> bool:
    """Whether a person may have asked for this with a browser."""
    return scope["path"] in BROWSABLE and scope["method"] in ("GET", "HEAD")


def challenges(scope: Scope) -> list[tuple[bytes, bytes]]:
    """The headers of a 401: how a key is shown here."""
    return [_ASK, _CHALLENGE] if browsable(scope) else [_CHALLENGE]


class Door:
    """The wrapper round the application. `refuse` answers in the form that the path's clients read."""

    def __init__(self, app: ASGIApp, keys: Keys, refuse: Refuse) -> None:
        self._app = app
        self._keys = keys
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != OPEN:
            try:
                self._keys.admit(Headers(scope=scope), browsable=browsable(scope))
            except Unauthorized as exc:
                await self._refuse(scope, send, exc)
                return
        await self._app(scope, receive, send)
