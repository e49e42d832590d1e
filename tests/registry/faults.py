"""Between a client and a real registry: a proxy that lets a test spoil whatever passes."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.registry.web import Ask, Reply, Web

Spoil = Callable[[Ask, Reply], Reply]


@contextmanager
def faulty(upstream: str) -> Iterator[Faulty]:
    proxy = Faulty(upstream)
    with proxy.web:
        yield proxy


class Faulty:
    """`spoil` sees each request and the real answer to it, and returns what the client gets."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.spoil: Spoil = lambda ask, reply: reply
        self.web = Web(self._answer)

    @property
    def host(self) -> str:
        return self.web.host

    def blobs(self) -> list[Ask]:
        """The requests for parts of blobs."""
        return self.web.asked("GET", "/blobs/sha256:")

    def _answer(self, ask: Ask) -> Reply:
        connection = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            headers = {
                key: value for key, value in ask.headers.items() if key.lower() not in ("host", "connection")
            }
            headers["Host"] = self.host  # so that it says in its locations where it was asked
            connection.request(ask.method, ask.path, ask.body or None, headers)
            response = connection.getresponse()
            kept = {
                k: v
                for k, v in response.getheaders()
                if k.lower() not in ("transfer-encoding", "connection", "date")
            }
            return self.spoil(ask, Reply(response.status, kept, response.read()))
        finally:
            connection.close()


class Times:
    """True for the first `count` calls: a fault that passes."""

    def __init__(self, count: int) -> None:
        self.left = count

    def __call__(self) -> bool:
        self.left -= 1
        return self.left >= 0
