"""The listening socket, made before anything else so that a taken port is one clear line."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket

from tropa.errors import TropaError

MOST_FILES = 65536  # open at once: nobody needs more
OWN_FILES = 512  # of them, for other things than clients


class CannotListen(TropaError):
    """The address can't be had."""

    code = "cannot-listen"


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises CannotListen with one line that says why."""
    family = socket.AF_INET6 if ":" in host or not host else socket.AF_INET
    try:
        info = socket.getaddrinfo(host or None, port, family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = info[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise CannotListen(f"listen tcp {_shown(host, port)}: {exc.strerror or exc}") from exc
    try:
        if os.name == "posix":  # elsewhere this would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6 and not host:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        reason = (
            "bind: address already in use"
            if exc.errno == errno.EADDRINUSE
            else f"bind: {exc.strerror or exc}"
        )
        hint = (
            "another server runs there; stop it, or set OLLAMA_HOST"
            if exc.errno == errno.EADDRINUSE
            else None
        )
        raise CannotListen(f"listen tcp {_shown(host, port)}: {reason}", hint=hint) from exc
    return listener


def most_connections() -> int | None:
    """How many clients may be connected at once, so that files are left for engines, models and transfers; None: any
    number. The system's limit is taken to its most first, as it stands low for programs that know no better."""
    if os.name != "posix":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # a system may have a lower limit still
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return None if soft == resource.RLIM_INFINITY else max(soft - OWN_FILES, soft // 2)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
