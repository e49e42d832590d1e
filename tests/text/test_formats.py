"""Sizes, relative times and tables against the examples of the compatibility reference."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tropa.text.relative import format_distance, format_relative, is_no_time, parse_time
from tropa.text.sizes import format_size
from tropa.text.table import cells_wide, format_rows, format_table

NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
HOUR = 3600
DAY = 24 * HOUR


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1, "1 B"),
        (999, "999 B"),
        (1000, "1 KB"),
        (1024, "1.0 KB"),
        (1500, "1.5 KB"),
        (999_999, "999 KB"),
        (1_000_000, "1 MB"),
        (9_999_999, "10.0 MB"),
        (10_500_000, "10 MB"),
        (1_234_567_890, "1.2 GB"),
        (4_661_224_676, "4.7 GB"),
        (39_969_745_349, "39 GB"),
        (1_999_999_999_999, "2.0 TB"),
        (12_345_000_000_000_000, "12345 TB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "Less than a second"),
        (0.999, "Less than a second"),
        (1, "1 second"),
        (1.9, "1 second"),
        (2, "2 seconds"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (HOUR - 1, "59 minutes"),
        (HOUR, "About an hour"),
        (1.49 * HOUR, "About an hour"),
        (1.5 * HOUR, "2 hours"),
        (47.4 * HOUR, "47 hours"),
        (47.6 * HOUR, "2 days"),
        (13.9 * DAY, "13 days"),
        (14 * DAY, "2 weeks"),
        (59.9 * DAY, "8 weeks"),
        (60 * DAY, "2 months"),
        (729 * DAY, "24 months"),
        (730 * DAY, "2 years"),
        (20.9 * 365 * DAY, "20 years"),
    ],
)
def test_distances(seconds: float, text: str) -> None:
    assert format_distance(timedelta(seconds=seconds)) == text


def test_relative_times_look_both_ways() -> None:
    assert format_relative(NOW - timedelta(hours=4), NOW) == "4 hours ago"
    assert format_relative(NOW + timedelta(minutes=4, seconds=59), NOW) == "4 minutes from now"
    assert format_relative(NOW, NOW) == "Less than a second ago"


def test_very_far_ahead_is_forever() -> None:
    assert format_relative(NOW + timedelta(days=21 * 365), NOW) == "Forever"
    assert format_relative(NOW + timedelta(days=21 * 365, hours=-1), NOW) == "20 years from now"
    assert format_relative(NOW - timedelta(days=21 * 365), NOW) == "21 years ago"


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+02:00"])
def test_no_time_is_never(text: str) -> None:
    assert is_no_time(parse_time(text))
    assert format_relative(parse_time(text), NOW) == "Never"
    assert format_relative(None, NOW) == "Never"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-08-01T12:00:00Z", NOW),
        ("2026-08-01T12:00:00.5Z", NOW + timedelta(milliseconds=500)),
        ("2026-08-01T12:00:00.678901234Z", NOW + timedelta(microseconds=678_901)),
        (
            "2026-08-01T05:00:00.1-07:00",
            datetime(2026, 8, 1, 5, 0, 0, 100_000, timezone(-timedelta(hours=7))),
        ),
        ("2318-11-11T05:47:16.854775807Z", datetime(2318, 11, 11, 5, 47, 16, 854_775, UTC)),
    ],
)
def test_times_of_the_api(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment


def test_a_table_has_four_spaces_between_and_after() -> None:
    table = format_table(
        ("NAME", "ID", "SIZE", "MODIFIED"),
        [
            ("llama3.2:latest", "a80c4f17acd5", "2.0 GB", "4 hours ago"),
            ("x:1", "0123456789ab", "512 MB", "About a minute ago"),
        ],
    )
    assert table == (
        "NAME               ID              SIZE      MODIFIED           \n"
        "llama3.2:latest    a80c4f17acd5    2.0 GB    4 hours ago           \n"
        "x:1                0123456789ab    512 MB    About a minute ago    \n"
    )


def test_a_table_without_rows_is_its_header() -> None:
    assert format_table(("NAME", "ID", "SIZE", "MODIFIED"), []) == "NAME    ID    SIZE    MODIFIED \n"


def test_columns_are_counted_as_a_terminal_shows_them() -> None:
    assert cells_wide("llama") == 5
    assert cells_wide("ラマ") == 4
    assert cells_wide("e\u0301") == 1
    assert format_table(("A", "B"), [("ラマ", "1"), ("xyz", "2")]) == (
        "A       B \nラマ    1    \nxyz     2    \n"
    )


def test_rows_without_a_header_may_differ_in_length() -> None:
    rows = format_rows([("stop", '"a"', '"b"'), ("temperature", "1")], indent="    ")
    assert rows == '    stop           "a"    "b"    \n    temperature    1             \n'
    assert format_rows([], indent="  ") == ""
