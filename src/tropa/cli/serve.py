"""`serve`: the server itself. The only command that needs none."""

from __future__ import annotations

import sys

from tropa.cli.command import Call


def serve(_call: Call) -> int:
    """Runs until it is told to stop. All bad settings are reported together, a line each."""
    from tropa.settings import BadSettings, load

    try:
        settings = load()
    except BadSettings as error:
        for problem in error.problems:
            sys.stderr.write(f"Error: {problem}\n")
        return 1
    from tropa.server.main import serve as run_server

    return run_server(settings)
