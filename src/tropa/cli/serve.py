"""`serve`: the server itself. The only command that needs none."""

from __future__ import annotations

import os
import sys

from tropa.cli.command import Call
from tropa.cli.environment import without_effect


def serve(_call: Call) -> int:
    """Runs until it is told to stop. All bad settings are reported together, a line each, and so are
    those that do nothing here."""
    from tropa.settings import BadSettings, load

    try:
        settings = load()
    except BadSettings as error:
        for problem in error.problems:
            sys.stderr.write(f"Error: {problem}\n")
        return 1
    if settings.host.warning:
        sys.stderr.write(f"Warning: OLLAMA_HOST: {settings.host.warning}\n")
    for name, why in without_effect(name for name, text in os.environ.items() if text.strip()):
        sys.stderr.write(f"Warning: {name} has no effect here: {why}\n")
    from tropa.server.listener import CannotListen
    from tropa.server.main import serve as run_server

    try:
        return run_server(settings)
    except CannotListen as error:
        from tropa.server.diagnosis import holder

        if error.hint and (who := holder(settings.host.port)):
            error.hint = f"stop {who}, which has it, or set OLLAMA_HOST to another port"
        raise
