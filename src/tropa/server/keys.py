"""Who may use the API: whoever shows a key, where there are keys. Only their hashes are in memory, and in no log."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tropa.errors import TropaError
from tropa.server.listener import is_loopback
from tropa.settings import Settings

OPEN = "/"  # is the server alive? Load balancers and clients ask that before they have a key

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


class Keys:
    """The SHA-256 of every key that opens the door. None at all: it stands open."""

    def __init__(self, digests: Sequence[bytes] = ()) -> None:
        self._digests = tuple(digests)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def know(self, key: str) -> bool:
        """Whether `key` is one of them. Takes as long for a wrong one as for the right one."""
        digest = hashlib.sha256(key.encode("latin-1", "replace")).digest()
        found = False
        for each in self._digests:
            found |= hmac.compare_digest(each, digest)
        return found

    def admit(self, headers: Headers) -> None:
        """Raises Unauthorized. A key comes as `Authorization: Bearer` or, from Anthropic's clients, as `x-api-key`."""
        shown = shown_in(headers)
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


class Door:
    """The wrapper round the application. `refuse` answers in the form that the path's clients read."""

    def __init__(self, app: ASGIApp, keys: Keys, refuse: Refuse) -> None:
        self._app = app
        self._keys = keys
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != OPEN:
            try:
                self._keys.admit(Headers(scope=scope))
            except Unauthorized as exc:
                await self._refuse(scope, send, exc)
                return
        await self._app(scope, receive, send)
