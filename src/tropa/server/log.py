"""Where log lines go: standard error, one line each, with time, level and part."""

from __future__ import annotations

import logging
import sys

from tropa.server import accesslog


def configure(debug: int, access: str = "off") -> None:
    """`debug` is `OLLAMA_DEBUG`: 0 information, 1 debug, 2 the engines' own lines too, negative quieter.
    `access`: the style of the access log, which as JSON has lines of its own."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger("tropa")
    root.handlers[:] = [handler]
    root.propagate = False
    level = logging.INFO if debug == 0 else logging.DEBUG if debug > 0 else logging.WARNING
    root.setLevel(level)
    accesslog.configure(access)
    logging.getLogger("tropa.engine").setLevel(logging.DEBUG if debug > 1 else logging.WARNING)
