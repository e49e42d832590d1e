"""One line for each exchange that has ended: what was asked, by whom, how it ended, and where its time went.

No query, no header, no body is in it. What a client can choose freely (an unknown path, the id) can't break the line.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Any

from tropa.server.clock import now_utc
from tropa.server.journal import Exchange, Observer

log = logging.getLogger("tropa.access")

LONGEST = 200  # characters of a path
_MILLION = 1_000_000
_PLAIN = re.compile(r"[!#-<>-~]+")  # what is printable, but no blank, quote or equals sign
QUIET = ("/", "/metrics")  # asked by machines, all day long


def record(exchange: Exchange) -> dict[str, Any]:
    """The line's fields. Times are in milliseconds; what there was not is left out."""
    account = exchange.account
    found: dict[str, Any] = {
        "id": exchange.id,
        "client": exchange.client,
        "method": exchange.method,
        "route": exchange.route or exchange.path[:LONGEST],
        "status": exchange.status,
        "duration_ms": _ms(exchange.ended - exchange.began),
    }
    if exchange.streamed:
        found["first_ms"] = _ms(exchange.first - exchange.began)
    if not exchange.whole:
        found["cut"] = True
    if account.model:
        found |= {
            "model": account.model,
            "runner": account.runner,
            "queue_ms": _ms(account.queue_ns),
            "load_ms": _ms(account.load_ns),
            "prompt_tokens": account.prompt_tokens,
            "cached_tokens": account.cached_tokens,
            "tokens": account.tokens,
            "prompt_ms": _ms(account.prompt_ns),
            "generation_ms": _ms(account.generation_ns),
        }
    return found


def writer(style: str) -> Observer:
    """What writes the lines: `json`, `text` or `off`."""
    return {"json": _json, "text": _text, "off": _nothing}[style]


def configure(style: str) -> None:
    """JSON lines stand alone; text is part of the server's log."""
    if style != "json":
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.INFO)


def _nothing(exchange: Exchange) -> None:
    """Nobody wants to read it."""


def _json(exchange: Exchange) -> None:
    log.info("%s", json.dumps({"time": now_utc(), **record(exchange)}))


def _text(exchange: Exchange) -> None:
    level = logging.DEBUG if exchange.route in QUIET else logging.INFO
    if log.isEnabledFor(level):
        log.log(level, "%s", " ".join(f"{name}={_word(value)}" for name, value in record(exchange).items()))


def _word(value: object) -> str:
    """Quoted where it could be taken for more than one word."""
    if not isinstance(value, str):
        return str(value)
    return value if _PLAIN.fullmatch(value) else json.dumps(value)


def _ms(nanoseconds: int) -> float:
    return round(nanoseconds / _MILLION, 3)
