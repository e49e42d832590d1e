"""Pulling and pushing, as the server and the command line see it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator

from tropa.library.errors import CloudDisabled
from tropa.library.library import Library
from tropa.library.name import Name, Source, source
from tropa.library.status import SUCCESS, Status
from tropa.registry import credentials
from tropa.registry.credentials import Keyring
from tropa.registry.download import Downloads
from tropa.registry.errors import RegistryError, Stalled, Unreachable
from tropa.registry.hub import Hub
from tropa.registry.identity import Identity, default_path
from tropa.registry.leaving import Leaving
from tropa.registry.limits import Limits
from tropa.registry.pull import Pull
from tropa.registry.push import Push
from tropa.registry.remote import HUGGING_FACE, Remote, is_loopback
from tropa.registry.repository import Repository
from tropa.registry.session import Session
from tropa.registry.transport import NobodyThere, Request, Transport


class Registry:
    """Transfers between one library and the world. Every iterator blocks, so each gets a thread of its own.

    A `Leaving` that is set ends its transfer soon; what was fetched stays for the next time.
    """

    def __init__(
        self,
        library: Library,
        limits: Limits | None = None,
        *,
        identity: Identity | None = None,
        keyring: Keyring | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._library = library
        self._limits = limits or Limits()
        self._identity = identity or Identity(default_path())
        self._keyring = keyring or credentials.default()
        self._transport = Transport(self._limits, context=context)
        self._downloads = Downloads(library.store.blobs, self._limits)
        self._lock = threading.Lock()
        self._under_way: set[Leaving] = set()
        self._closed = False

    def pull(self, text: str, *, insecure: bool = False, leaving: Leaving | None = None) -> Iterator[Status]:
        """Raises InvalidName at once; ends with `success`, or by raising."""
        name = _parsed(text)
        if self._library.restore(name) or self._library.contents(name) is not None:
            # It came with the program, and no registry has it.
            return iter((Status("pulling manifest"), SUCCESS))
        return self._watched(leaving or Leaving(), lambda own: self._pull(name, insecure, own).statuses())

    def sizes(self, text: str, *, insecure: bool = False, leaving: Leaving | None = None) -> Iterator[Status]:
        """What a pull would fetch. A record for each blob: its size, and how much of it is here."""
        name = _parsed(text)
        return self._watched(leaving or Leaving(), lambda own: self._pull(name, insecure, own).sizes())

    def push(self, text: str, *, insecure: bool = False, leaving: Leaving | None = None) -> Iterator[Status]:
        name = self._library.resolve(_parsed(text))

        def statuses(own: Leaving) -> Iterator[Status]:
            repository = self._repository(name, insecure, own)
            return Push(self._library, name, repository, self._limits, own).statuses()

        return self._watched(leaving or Leaving(), statuses)

    def close(self) -> None:
        """End all transfers: they resume when they are asked for again."""
        with self._lock:
            self._closed = True
            under_way = [*self._under_way]
        for leaving in under_way:
            leaving.leave()
        self._downloads.close()
        self._transport.close()

    def _pull(self, name: Name, insecure: bool, leaving: Leaving) -> Pull:
        repository = self._repository(name, insecure, leaving)
        remote, hub = repository.remote, None
        if remote.host.lower() in HUGGING_FACE:
            session = Session(Hub.beside(remote), self._transport, self._identity, self._keyring)
            hub = Hub(session, self._transport, self._limits)
        return Pull(self._library, name, repository, self._downloads, self._limits, leaving, hub)

    def _repository(self, name: Name, insecure: bool, leaving: Leaving) -> Repository:
        scheme = _scheme(name.host, insecure, self._transport, leaving)
        session = Session(Remote.of(name, scheme), self._transport, self._identity, self._keyring)
        return Repository(session, self._transport, self._limits)

    def _watched(self, leaving: Leaving, statuses: object) -> Iterator[Status]:
        assert callable(statuses)
        with self._lock:
            if self._closed:
                leaving.leave()
            self._under_way.add(leaving)
        try:
            yield from statuses(leaving)
        finally:
            with self._lock:
                self._under_way.discard(leaving)


def check_login(host: str, keyring: Keyring, *, insecure: bool = False) -> None:
    """Whether a registry takes these credentials. Raises RegistryError."""
    limits, leaving = Limits(tries=1), Leaving()
    transport = Transport(limits)
    try:
        scheme = _scheme(host, insecure, transport, leaving)
        session = Session(Remote(scheme, host, "", ""), transport, Identity(default_path()), keyring)
        Repository(session, transport, limits).ping(leaving)
    finally:
        transport.close()


def _parsed(text: str) -> Name:
    base, where = source(text)
    if where is Source.CLOUD:
        raise CloudDisabled
    return Name.parse(base)


def _scheme(host: str, insecure: bool, transport: Transport, leaving: Leaving) -> str:
    """`http` only where somebody said so, or on this machine, where nobody can listen in.

    There, plain http is tried first: what speaks TLS refuses it at once, while a plain server that is spoken TLS to
    may wait for the end of what it takes for a line.
    """
    if insecure:
        return "http"
    if not is_loopback(host):
        return "https"
    try:
        response = transport.open(Request("GET", f"http://{host}/v2/"), leaving)
    except Unreachable as error:
        return "http" if isinstance(error, Stalled | NobodyThere) else "https"
    except RegistryError:
        return "http"
    response.close()
    return "https" if response.status == 400 or response.url.startswith("https:") else "http"
