"""How long ago, how far ahead: `4 hours ago`, `About a minute from now`, `Forever`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_YEAR_ONE = datetime(1, 1, 2, tzinfo=UTC)
"""Before this a time is "no time": programs in Go send year 1 for an unset one, in any zone."""


def is_no_time(moment: datetime) -> bool:
    return moment < _YEAR_ONE


def format_relative(moment: datetime | None, now: datetime) -> str:
    """Both with a zone. No time (or the year 1) is `Never`; 21 years ahead and more is `Forever`."""
    if moment is None or is_no_time(moment):
        return "Never"
    ahead = moment - now
    if ahead >= timedelta(days=21 * 365):
        return "Forever"
    if ahead > timedelta(0):
        return format_distance(ahead) + " from now"
    return format_distance(-ahead) + " ago"


def format_distance(distance: timedelta) -> str:
    """`distance` is not negative. Hours are rounded, everything else is cut off."""
    seconds = int(distance.total_seconds())
    if seconds < 1:
        return "Less than a second"
    if seconds == 1:
        return "1 second"
    if seconds < 60:
        return f"{seconds} seconds"
    minutes = seconds // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(distance.total_seconds() / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    for name, days, below_days in (("days", 1, 14), ("weeks", 7, 60), ("months", 30, 730)):
        if hours < 24 * below_days:
            return f"{hours // (24 * days)} {name}"
    return f"{hours // (24 * 365)} years"


def parse_time(text: str) -> datetime:
    """An RFC 3339 time with up to nine fractional digits, as the API sends them. Raises ValueError.

    `datetime` knows microseconds, so more digits are cut off; its years end at 9999.
    """
    head, dot, tail = text.partition(".")
    if dot:
        zone = tail.lstrip("0123456789")
        digits = tail[: len(tail) - len(zone)]
        text = f"{head}.{digits[:6].ljust(6, '0')}{zone}"
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
