"""Who may talk to us: the Origin rules (CORS) and the Host rules (DNS rebinding), as a wrapper round the application.

A page of a foreign site that a user's browser shows must reach neither the models nor the store. Browsers say
where a page came from (`Origin`) and which name they resolved (`Host`); everything else passes.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tropa.errors import TropaError

_LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 - origins of pages, nothing is bound to them
DEFAULT_ORIGINS = (
    *(
        f"{scheme}://{host}{port}"
        for host in _LOCAL_HOSTS
        for scheme in ("http", "https")
        for port in ("", ":*")
    ),
    *(f"{scheme}://*" for scheme in ("app", "file", "tauri", "vscode-webview", "vscode-file")),
)

_EXTENSIONS = ("chrome-extension", "moz-extension", "safari-web-extension", "ms-browser-extension")

_ALLOWED_METHODS = b"GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"
_STAINLESS = (
    "Arch Async Custom-Poll-Interval Helper-Method Lang Os Package-Version Poll-Helper Retry-Count "
    "Runtime Runtime-Version Timeout"
)
_ALLOWED_HEADERS = ",".join(
    ["Authorization", "Content-Type", "User-Agent", "Accept", "X-Requested-With", "Openai-Beta"]
    + ["X-Api-Key", "X-Request-Id", "Tropa-Explain"]
    + ["Anthropic-Version", "Anthropic-Beta", "Anthropic-Dangerous-Direct-Browser-Access"]
    + [f"X-Stainless-{name}" for name in _STAINLESS.split()]
).encode()
_PREFLIGHT_VARY = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class BadOrigin(TropaError):
    """An entry of `OLLAMA_ORIGINS` that can match nothing."""

    code = "bad-origin"


class Origins:
    """Origins that may use the API: exact ones, and those with one `*` as prefix, suffix or in the middle."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        entries = [*(entry.lower() for entry in extra), *DEFAULT_ORIGINS]
        self.everyone = "*" in entries
        for entry in entries:
            scheme = entry.partition("://")[0]
            if entry.count("*") > 1:
                raise BadOrigin(f"OLLAMA_ORIGINS: {entry!r} has more than one '*'")
            if "*" not in entry and scheme not in ("http", "https", *_EXTENSIONS):
                raise BadOrigin(
                    f"OLLAMA_ORIGINS: {entry!r} is no origin; expected http://, https:// or a browser extension, "
                    "or a pattern with one '*'"
                )
        self._entries = [tuple(entry.split("*", 1)) for entry in entries]

    def allow(self, origin: str) -> bool:
        """Whether a page from `origin` may use the API."""
        for entry in self._entries:
            if len(entry) == 1:
                if origin == entry[0]:
                    return True
            elif _matches(origin, *entry):
                return True
        return False


def _matches(origin: str, head: str, tail: str) -> bool:
    return len(origin) >= len(head) + len(tail) and origin.startswith(head) and origin.endswith(tail)


def host_allowed(host: str, own_names: Iterable[str], own_addresses: Callable[[], Iterable[str]]) -> bool:
    """Whether a request for `host` (the header, port and all) can be meant for a server on loopback."""
    name = _without_port(host)
    if name in ("", "localhost") or name in own_names or name.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    if address.is_loopback or address.is_private or address.is_unspecified:
        return True
    return str(address) in own_addresses()


def _without_port(host: str) -> str:
    name = host.lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0] if name.count(":") == 1 else name


def _is_name(host: str) -> bool:
    """And no address, nor nothing."""
    name = _without_port(host)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return bool(name)
    return False


class Access:
    """The wrapper. `loopback` says whether the server listens there only; else hosts are not checked."""

    def __init__(self, app: ASGIApp, origins: Origins, *, loopback: bool) -> None:
        self._app = app
        self._origins = origins
        self._loopback = loopback
        self._names = {socket.gethostname().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        hosts = headers.getlist("host") or [""]
        host = hosts[0]
        if len(set(hosts)) > 1 or (
            self._loopback and not host_allowed(host, self._names, _own_addresses)
        ):  # of two names, whoever stands before us may have looked at the other
            await _answer(send, 403)
            return
        origin = headers.get("origin")
        if origin is None and scope["method"] == "OPTIONS" and self._loopback and _is_name(host):
            await _answer(send, 204)
            return
        if origin is None or origin in (f"http://{host}", f"https://{host}"):
            await self._app(scope, receive, send)
            return
        if not self._origins.everyone and not self._origins.allow(origin):
            await _answer(send, 403)
            return
        allowed = b"*" if self._origins.everyone else origin.encode("latin-1", "replace")
        vary = [] if self._origins.everyone else [(b"vary", b"Origin")]
        if scope["method"] == "OPTIONS":
            preflight = [
                (b"access-control-allow-origin", allowed),
                (b"access-control-allow-methods", _ALLOWED_METHODS),
                (b"access-control-allow-headers", _ALLOWED_HEADERS),
                (b"access-control-max-age", b"43200"),
                (b"vary", _PREFLIGHT_VARY),
            ]
            await _answer(send, 204, preflight)
            return

        async def with_origin(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(raw=[(b"access-control-allow-origin", allowed), *vary])
                message["headers"] = [*message.get("headers", []), *added.raw]
            await send(message)

        await self._app(scope, receive, with_origin)


def _own_addresses() -> set[str]:
    """Addresses of this machine's interfaces: asked anew, since they come and go with networks."""
    import psutil

    return {entry.address for entries in psutil.net_if_addrs().values() for entry in entries}


async def _answer(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    length = [] if status == 204 else [(b"content-length", b"0")]  # RFC 9110 8.6: a 204 has none
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *length]})
    await send({"type": "http.response.body", "body": b""})
