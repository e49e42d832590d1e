"""`keep_alive` in all the forms clients send it, as seconds."""

from __future__ import annotations

import math
from typing import Any

from tropa.service.errors import InvalidRequest
from tropa.text.durations import SECOND, DurationError, parse_go_duration

FOREVER = 9e9
"""Seconds, close to three hundred years: from here on nobody counts. A number in JSON can be larger than any float."""

LONGEST = 1000
"""Characters of a text. It is read piece by piece, and one of megabytes would keep everybody waiting."""


def parse(value: Any) -> float | None:
    """None: leave things as they are. Negative means for ever (`inf`). Raises InvalidRequest."""
    match value:
        case None:
            return None
        case bool():
            raise InvalidRequest("Unsupported type: 'bool'")
        case int() | float():
            seconds = -1.0 if value < 0 else math.inf if value >= FOREVER else float(value)
        case str() if len(value) > LONGEST:
            raise InvalidRequest(f'time: invalid duration "{value[:20]}…" of {len(value)} characters')
        case str():
            try:
                seconds = parse_go_duration(value) / SECOND
            except DurationError as exc:
                raise InvalidRequest(str(exc)) from exc
        case list():
            raise InvalidRequest("Unsupported type: '[]interface {}'")
        case _:
            raise InvalidRequest("Unsupported type: 'map[string]interface {}'")
    return math.inf if seconds < 0 else seconds
