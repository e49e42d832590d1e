"""`tropa --version`: ours, and the server's if one answers at once."""

from __future__ import annotations

import sys

from tropa import __version__
from tropa.cli.target import client
from tropa.client.errors import ClientError, ServerError

_PATIENCE = 0.5
"""Seconds for each step. Nobody waits longer for a version."""


def version() -> int:
    """The server's version is its `tropa` key: `version` names the API that it is compatible with."""
    running = None
    try:
        answer = client(timeout=_PATIENCE, patience=_PATIENCE).get("/api/version")
    except ServerError as error:
        sys.stdout.write(f"Warning: the server does not say its version: {error}\n")
    except ClientError:
        sys.stdout.write("Warning: could not connect to a running Tropa instance\n")
    else:
        running = answer.get("tropa")
        if running is None:
            sys.stdout.write(f"Warning: another server is running there, version {answer.get('version')}\n")
        else:
            sys.stdout.write(f"tropa version is {running}\n")
    if running != __version__:
        sys.stdout.write(f"Warning: client version is {__version__}\n")
    return 0
