"""What can go wrong between us and the server."""

from __future__ import annotations

from tropa.errors import TropaError
from tropa.text.address import Host


class ClientError(TropaError):
    """The family: no answer, a refusal, or an answer that can't be understood."""

    code = "client-error"


class CannotConnect(ClientError):
    """Nobody took the connection. `refused`: the machine answered that nothing listens there. The text for that is
    the one that scripts know, so an address that isn't the usual one comes after it."""

    code = "cannot-connect"

    def __init__(self, url: str, reason: str, *, refused: bool) -> None:
        text = "could not connect to tropa server"
        if refused:
            where = f"nobody listens at {url}, where OLLAMA_HOST says" if url != Host().url else None
            super().__init__(f"{text}, run 'tropa serve' to start it", hint=where)
        else:
            super().__init__(f"{text} at {url}: {reason}")
        self.refused = refused


class ConnectionLost(ClientError):
    """The connection ended in the middle: the server died, or something between us cut it."""

    code = "connection-lost"

    def __init__(self, reason: str) -> None:
        super().__init__(f"lost the connection to the tropa server: {reason}")


class BadReply(ClientError):
    """Something answered, but not with our API."""

    code = "bad-reply"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"unexpected answer from {url}: {reason}", hint="is it a Tropa server?")


class ServerError(ClientError):
    """The server said no. `text` is its own `error` string; `status` is None for an error inside a stream."""

    code = "server-error"

    def __init__(
        self, text: str, status: int | None = None, *, prefix: str = "", hint: str | None = None
    ) -> None:
        super().__init__(prefix + text, hint=hint)
        self.text = text
        self.status = status


class NoSuchRoute(ServerError):
    """The server does not know the path: it is older than we are, or another program."""

    code = "no-such-route"
