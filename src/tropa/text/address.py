"""Where a server is: `OLLAMA_HOST` in all its forms. Apart from the other settings because the client needs no more."""

from __future__ import annotations

from dataclasses import dataclass, field

DEFAULT_PORT = 11434


@dataclass(frozen=True, slots=True)
class Host:
    """`[scheme://]host[:port][/path]`. The server uses host and port only. `warning`: what was not taken as written."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    scheme: str = "http"
    path: str = ""
    warning: str = field(default="", compare=False)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse_host(text: str) -> Host:
    """`OLLAMA_HOST` in all its forms. A port out of range falls back to the scheme's default, as clients expect."""
    scheme, separator, rest = text.rpartition("://")
    scheme = scheme.lower() if separator else "http"
    if scheme not in ("http", "https"):
        raise ValueError("expected an address like 127.0.0.1:11434 or http://host:port")
    port = {"http": 80, "https": 443}[scheme] if separator else DEFAULT_PORT
    if text == "ollama.com":
        scheme, port = "https", 443
    location, slash, path = rest.partition("/")
    host, digits = _split_port(location)
    warning = ""
    if digits:
        if not digits.isascii() or not digits.isdigit():
            raise ValueError(f"{digits!r} is not a port number")
        if len(digits) < 7 and int(digits) <= 65535:
            port = int(digits)
        else:
            warning = f"there is no port {digits[:20]}, so it is {port}"
    if any(c.isspace() or c in "@?#[]" for c in host) or (":" in host and not _is_ipv6(host)):
        raise ValueError(f"{host!r} is not a host name or address")
    if not host and not digits:
        host = "127.0.0.1"
    return Host(host, port, scheme, (slash + path).rstrip("/"), warning)


def _split_port(location: str) -> tuple[str, str]:
    if location.startswith("["):
        host, closed, rest = location[1:].partition("]")
        return (host if closed else location), rest.removeprefix(":")
    if location.count(":") > 1:  # a bare IPv6 address
        return location, ""
    host, _, digits = location.partition(":")
    return host, digits


def _is_ipv6(text: str) -> bool:
    import ipaddress

    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
