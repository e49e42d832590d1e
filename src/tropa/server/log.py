"""Where log lines go: standard error, one line each, with time, level and part."""

from __future__ import annotations

import logging
import re
import sys

from tropa.server import accesslog

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class OneLine(logging.Formatter):
    """What is told of a request may hold what its client chose: it can't begin a line that looks like ours. A
    traceback, which follows the message, has as many lines as it needs."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return _CONTROL.sub(lambda found: repr(found[0])[1:-1], super().formatMessage(record))


def configure(debug: int, access: str = "off") -> None:
    """`debug` is `OLLAMA_DEBUG`: 0 information, 1 debug, 2 the engines' own lines too, negative quieter.
    `access`: the style of the access log, which as JSON has lines of its own."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger("tropa")
    for logger in (root, logging.getLogger("uvicorn")):
        logger.handlers[:] = [handler]
        logger.propagate = False
    level = logging.INFO if debug == 0 else logging.DEBUG if debug > 0 else logging.WARNING
    root.setLevel(level)
    accesslog.configure(access)
    logging.getLogger("tropa.engine").setLevel(logging.DEBUG if debug > 1 else logging.WARNING)
