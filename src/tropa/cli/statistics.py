"""What `--verbose` says after an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tropa.text.durations import SECOND, format_go_duration


def format_statistics(record: Mapping[str, Any]) -> str:
    """The lines for the final record of an answer; what is zero or missing is left out."""
    rows = [
        ("total duration:", _duration(record, "total_duration")),
        ("load duration:", _duration(record, "load_duration")),
        ("prompt eval count:", _count(record, "prompt_eval_count")),
        ("prompt eval duration:", _duration(record, "prompt_eval_duration")),
        ("prompt eval rate:", _rate(record, "prompt_eval", record.get("cached_tokens") or 0)),
        ("eval count:", _count(record, "eval_count")),
        ("eval duration:", _duration(record, "eval_duration")),
        ("eval rate:", _rate(record, "eval")),
        ("prompt cached count:", _count(record, "cached_tokens")),
    ]
    return "".join(f"{title:<21} {value}\n" for title, value in rows if value)


def _duration(record: Mapping[str, Any], key: str) -> str:
    return format_go_duration(record[key]) if record.get(key) else ""


def _count(record: Mapping[str, Any], key: str) -> str:
    return f"{record[key]} token(s)" if record.get(key) else ""


def _rate(record: Mapping[str, Any], what: str, cached: int = 0) -> str:
    """`cached` tokens are counted, but took no time."""
    count, duration = record.get(f"{what}_count") or 0, record.get(f"{what}_duration")
    return f"{(count - cached) / (duration / SECOND):.2f} tokens/s" if count > cached and duration else ""
