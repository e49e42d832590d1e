"""`cp`, `rm` and `stop`."""

from __future__ import annotations

import sys

from tropa.cli.command import Call
from tropa.cli.target import client
from tropa.client.client import Client
from tropa.client.errors import ServerError
from tropa.errors import TropaError

_NO_ACCESS = 401
_NOT_FOUND = 404


class NothingToStop(TropaError):
    """`stop` for a model that isn't here at all. One that is here but not loaded is no error."""

    code = "nothing-to-stop"


def copy(call: Call) -> int:
    source, destination = call.args
    client().post("/api/copy", {"source": source, "destination": destination})
    sys.stdout.write(f"copied '{source}' to '{destination}'\n")
    return 0


def remove(call: Call) -> int:
    """Stops at the first model that can't be removed."""
    server = client()
    server.alive()
    for model in call.args:
        try:
            unload(server, model)
        except ServerError as error:
            if error.status == _NO_ACCESS:
                raise
            if error.status != _NOT_FOUND:
                sys.stderr.write(f"Warning: unable to stop model '{model}'\n")
        server.delete("/api/delete", {"model": model, "name": model})
        sys.stdout.write(f"deleted '{model}'\n")
    return 0


def stop(call: Call) -> int:
    (model,) = call.args
    try:
        unload(client(), model)
    except ServerError as error:
        if error.status == _NOT_FOUND:
            raise NothingToStop(f'couldn\'t find model "{model}" to stop') from error
        raise
    return 0


def unload(server: Client, model: str) -> None:
    """It leaves as soon as nobody uses it; the answer comes at once."""
    for _ in server.stream("/api/generate", {"model": model, "keep_alive": 0}):
        pass
