"""Times as the API writes them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache


def now_utc() -> str:
    """RFC 3339 with nanoseconds, zeros at the end trimmed: `2026-01-02T03:04:05.678901234Z`."""
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    fraction = f".{nanos:09d}".rstrip("0").rstrip(".")
    return f"{_date(seconds)}{fraction}Z"


@lru_cache(maxsize=4)
def _date(seconds: int) -> str:
    """Written once per second, read once per token."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def local(moment: datetime) -> str:
    """The same in the server's own zone (`Z` when that is UTC)."""
    there = moment.astimezone()
    if there.utcoffset() == UTC.utcoffset(None):
        return there.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".") + "Z"
    text = there.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
    offset = there.strftime("%z")
    return f"{text}{offset[:3]}:{offset[3:5]}"
