"""`push`: give a model to a registry."""

from __future__ import annotations

import sys

from tropa.cli.command import Call
from tropa.cli.ownserver import server_running
from tropa.cli.pull import transfer
from tropa.cli.target import client
from tropa.library.name import HOST, Name


def push(call: Call) -> int:
    (model,) = call.args
    name = Name.parse(model)
    server = client()
    with server_running(server):
        transfer(server, "/api/push", {"model": model, "name": model, "insecure": call.on("insecure")})
    sys.stdout.write(f"\nYou can find your model at:\n\n\t{_where(name)}\n")
    return 0


def _where(name: Name) -> str:
    if name.host != HOST:
        return name.full
    tag = "" if name.tag == "latest" else f":{name.tag}"
    return f"https://ollama.com/{name.namespace}/{name.model}{tag}"
