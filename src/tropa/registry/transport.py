"""HTTP, one request at a time: proxies, TLS, timeouts, redirects. Knows no registry and no tokens.

Threads and urllib3, by measurement (docs/registry.md): a transfer must cost the server's event loop nothing,
and reading large pieces in threads leaves the interpreter free. Everything that can fail here fails as one of
`tropa.registry.errors`.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import IO
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)

from tropa.registry.errors import BadAnswer, BadRedirect, RegistryError, Stalled, Unreachable
from tropa.registry.leaving import Leaving
from tropa.registry.limits import REDIRECTS, Limits
from tropa.registry.remote import agent, is_loopback, origin, shown, split

# Its own lines name whole URLs, and those of downloads are signed.
logging.getLogger("urllib3").setLevel(logging.CRITICAL)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BLOCK = 256 << 10
_POOLED = 32
_PROXY_HINT = "see HTTPS_PROXY, ALL_PROXY and NO_PROXY of the server"


@dataclass(slots=True)
class Request:
    """`secret` headers go to the origin that was asked and to no other. `sent` makes the body anew for each try."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], IO[bytes] | bytes] | None = None
    patience: float | None = None  # seconds to the answer, if not as long as for any other byte


class Response:
    """The head of an answer, and its body as it comes. Close it, or read it to its end."""

    def __init__(self, raw: urllib3.BaseHTTPResponse, url: str, foreign: bool) -> None:
        self._raw = raw
        self.url = url
        self.foreign = foreign  # a redirect led to another origin than the one asked
        self.status = raw.status
        self.headers = raw.headers

    @property
    def length(self) -> int | None:
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def piece(self, size: int) -> bytes:
        """What is there, at most `size` bytes; nothing at the end. Raises Unreachable."""
        with _translated(self.url):
            return self._raw.read1(size)

    def small(self, limit: int, what: str) -> bytes:
        """The whole body, if it is no larger than `limit`."""
        if (self.length or 0) > limit:
            self.close()
            raise BadAnswer(f"{shown(self.url)}: the {what} is larger than {limit} bytes")
        data = bytearray()
        while piece := self.piece(_BLOCK):
            data += piece
            if len(data) > limit:
                self.close()
                raise BadAnswer(f"{shown(self.url)}: the {what} is larger than {limit} bytes")
        return bytes(data)

    def start(self, limit: int) -> str:
        """The beginning of an error's body, to be told."""
        data = b""
        with suppress(RegistryError):
            while len(data) < limit and (piece := self.piece(limit - len(data))):
                data += piece
        self.close()
        return data.decode("utf-8", "replace").strip()

    def drain(self) -> None:
        """Leave the connection fit for the next request, if that is cheap."""
        count = 0
        with suppress(RegistryError):
            while count < _BLOCK and (piece := self.piece(_BLOCK)):
                count += len(piece)
        self.close()

    def interrupt(self) -> None:
        """From another thread: whoever reads gets an error now."""
        with suppress(Exception):  # it may have been closed this moment, in as many ways as there are layers
            self._raw.shutdown()

    def close(self) -> None:
        """A connection with an unread body is of no further use."""
        with suppress(HTTPError, OSError):
            if not getattr(self._raw, "closed", False):
                self._raw.close()
            self._raw.release_conn()


class Transport:
    """Connections to everybody. Use it from any thread."""

    def __init__(self, limits: Limits, *, context: ssl.SSLContext | None = None) -> None:
        self._limits = limits
        self._context = context
        self._lock = threading.Lock()
        self._pools: dict[str, urllib3.PoolManager] = {}

    def open(self, request: Request, leaving: Leaving) -> Response:
        """Send it, follow redirects, and return the head of the last answer, whatever its status."""
        url, secret, foreign = request.url, dict(request.secret), False
        for _ in range(REDIRECTS + 1):
            leaving.check()
            response = Response(self._send(request, url, secret), url, foreign)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location or request.method not in ("GET", "HEAD"):
                return response
            response.drain()
            target = _joined(url, location)
            _check_redirect(url, location, target)
            if origin(target) != origin(url):
                # Never given back: what a foreign host redirects to is its choice, not ours.
                secret, foreign = {}, True
            url = target
        raise BadRedirect(
            f"maximum redirects exceeded ({REDIRECTS}) for {shown(request.url)}, the last to {shown(url)}"
        )

    def close(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()

    def _send(self, request: Request, url: str, secret: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        timeout = urllib3.Timeout(connect=self._limits.connect, read=request.patience or self._limits.stall)
        with _translated(url):
            return self._pool(url).request(
                request.method,
                url,
                body=request.body() if request.body else None,
                headers={"User-Agent": agent(), "Accept-Encoding": "identity", **request.headers, **secret},
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )

    def _pool(self, url: str) -> urllib3.PoolManager:
        """The connections of one proxy, or of none. The variables are looked at each time: they are few."""
        proxy = proxy_for(url)
        with self._lock:
            if (pool := self._pools.get(proxy)) is None:
                pool = self._pools[proxy] = self._made(proxy)
            return pool

    def _made(self, proxy: str) -> urllib3.PoolManager:
        if not proxy:
            return urllib3.PoolManager(maxsize=_POOLED, blocksize=_BLOCK, ssl_context=self._context)
        parts = urlsplit(proxy)
        if parts.scheme not in ("http", "https"):
            raise BadProxy(
                f"{parts.scheme}://", "no such proxies are supported", temporary=False, hint=_PROXY_HINT
            )
        headers = None
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers = urllib3.make_headers(proxy_basic_auth=user)
        bare = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return urllib3.ProxyManager(
            bare, proxy_headers=headers, maxsize=_POOLED, blocksize=_BLOCK, ssl_context=self._context
        )


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:  # brackets that are no IPv6 address
        return ""


def _check_redirect(url: str, location: str, target: str) -> None:
    parts = split(target)
    no_host = location.partition(":")[2].startswith("//") and not split(location).netloc
    if parts.scheme not in ("http", "https") or not parts.hostname or no_host:
        raise BadRedirect(f"{shown(url)} redirects to something that is no web address")
    if parts.scheme == "http" and split(url).scheme == "https":
        raise BadRedirect(f"{shown(url)} redirects from https to http ({parts.hostname})")


def proxy_for(url: str) -> str:
    """What `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say about a URL; empty: none. This machine
    itself is never reached through a proxy.
    """
    parts = urlsplit(url)
    if is_loopback(parts.netloc.rpartition("@")[2]):
        return ""
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
    if not proxy or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """urllib3's errors as ours. They are told apart by type, and never printed: they name whole URLs."""
    try:
        yield
    except ReadTimeoutError as error:
        raise Stalled(shown(url)) from error
    except (HTTPError, HTTPException, OSError) as error:
        raise _unreachable(url, error) from error
    except ValueError as error:  # header values with line breaks, ports out of range
        raise Unreachable(shown(url), "it cannot be asked for", temporary=False) from error


def _unreachable(url: str, error: Exception) -> Unreachable:
    cause = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    match cause:
        case ProxyError():
            return BadProxy(shown(url), "the proxy does not let us through", hint=_PROXY_HINT)
        case SSLError():
            return _tls(url, cause)
        case NameResolutionError():
            return Unreachable(shown(url), "there is no such host")
        case NewConnectionError():  # to urllib3 it is a kind of the next
            return NobodyThere(shown(url), "nobody takes the connection")
        case ConnectTimeoutError():
            return Unreachable(shown(url), "no connection in time")
        case LocationParseError():
            return Unreachable(shown(url), "this is no address", temporary=False)
        case _:
            return Unreachable(shown(url), "the connection broke")


def _tls(url: str, error: SSLError) -> Unreachable:
    inner = error.args[0] if error.args else None
    if isinstance(inner, ssl.SSLCertVerificationError):
        return Untrusted(shown(url), f"its certificate is not trusted: {inner.verify_message}")
    if isinstance(inner, ssl.SSLError) and inner.reason in (
        "WRONG_VERSION_NUMBER",
        "HTTP_REQUEST",
        "RECORD_LAYER_FAILURE",
    ):
        return NotTLS(shown(url), "it does not speak TLS")
    return Unreachable(shown(url), "the TLS connection failed")


class NobodyThere(Unreachable):
    """The machine is there, and nothing listens."""

    code = "registry-nobody-there"


class BadProxy(Unreachable):
    """What the environment names as a proxy is none, or none for us."""

    code = "registry-bad-proxy"


class Untrusted(Unreachable):
    """Trying again does not make a certificate better."""

    code = "registry-untrusted"

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(
            where,
            reason,
            temporary=False,
            hint="add its authority to the system's, or name it in SSL_CERT_FILE",
        )


class NotTLS(Unreachable):
    """Something answered, in plain text."""

    code = "registry-not-tls"

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(
            where, reason, temporary=False, hint="use --insecure if it is meant to be plain http"
        )
