"""Go's duration grammar, checked against values and texts that Go's own `time` package gives."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropa.text.durations import LONGEST, DurationError, format_go_duration, parse_go_duration

S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("+0", 0),
        ("-0", 0),
        ("0s", 0),
        ("5s", 5 * S),
        ("30s", 30 * S),
        ("1478s", 1478 * S),
        ("-5s", -5 * S),
        ("+5s", 5 * S),
        ("5.0s", 5 * S),
        ("5.6s", 5 * S + 600_000_000),
        ("5.s", 5 * S),
        (".5s", S // 2),
        ("1.004s", S + 4_000_000),
        ("100.00100s", 100 * S + 1_000_000),
        ("10ns", 10),
        ("11us", 11_000),
        ("12µs", 12_000),
        ("12μs", 12_000),
        ("13ms", 13_000_000),
        ("15m", 900 * S),
        ("16h", 57_600 * S),
        ("3h30m", 12_600 * S),
        ("10.5s4m", 250 * S + S // 2),
        ("-2m3.4s", -(123 * S + 400_000_000)),
        ("1h2m3s4ms5us6ns", 3723 * S + 4_005_006),
        ("39h9m14.425s", 140_954 * S + 425_000_000),
        ("52763797000ns", 52_763_797_000),
        ("0.3333333333333333333h", 1200 * S - 1),
        ("9223372036854775807ns", LONGEST),
        ("-9223372036854775808ns", -LONGEST - 1),
        ("9223372036s775ms807us", 9_223_372_036 * S + 775_807_000),
        ("0.9223372036854775807h", 3_320_413_933_267),
        ("0000000000000000000000000000001s", S),
        ("-1m", -60 * S),
    ],
)
def test_parses(text: str, nanoseconds: int) -> None:
    # Go works out fractions in floating point; a nanosecond more or less is not ours to promise.
    assert abs(parse_go_duration(text) - nanoseconds) <= (1 if "." in text else 0)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("5", 'time: missing unit in duration "5"'),
        ("-1", 'time: missing unit in duration "-1"'),
        ("10", 'time: missing unit in duration "10"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("1h 2m", 'time: unknown unit "h " in duration "1h 2m"'),
        ("5S", 'time: unknown unit "S" in duration "5S"'),
        ("-", 'time: invalid duration "-"'),
        ("s", 'time: invalid duration "s"'),
        (".", 'time: invalid duration "."'),
        ("-.", 'time: invalid duration "-."'),
        (".s", 'time: invalid duration ".s"'),
        ("+.s", 'time: invalid duration "+.s"'),
        (" 5s", 'time: invalid duration " 5s"'),
        ("1e3s", 'time: unknown unit "e" in duration "1e3s"'),
        ("٣s", 'time: invalid duration "\\xd9\\xa3s"'),
        ('5"s', 'time: unknown unit "\\"s" in duration "5\\"s"'),
        ("5\n", 'time: unknown unit "\\x0a" in duration "5\\x0a"'),
        ("\ud800", 'time: invalid duration "\\xed\\xa0\\x80"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("3000000h", 'time: invalid duration "3000000h"'),
        ("99999999999999999999", 'time: invalid duration "99999999999999999999"'),
        ("-9223372036854775809ns", 'time: invalid duration "-9223372036854775809ns"'),
        ("9223372036854ms775us808ns1ns", 'time: invalid duration "9223372036854ms775us808ns1ns"'),
    ],
)
def test_complains_as_go_does(text: str, complaint: str) -> None:
    with pytest.raises(DurationError) as caught:
        parse_go_duration(text)
    assert str(caught.value) == complaint


def test_a_megabyte_of_digits_is_refused_at_once() -> None:
    with pytest.raises(DurationError, match="invalid duration"):
        parse_go_duration("9" * 1_000_000 + "s")


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1100, "1.1µs"),
        (1500, "1.5µs"),
        (2_200_000, "2.2ms"),
        (130_079_000, "130.079ms"),
        (3_300_000_000, "3.3s"),
        (4_935_415_292, "4.935415292s"),
        (60 * S, "1m0s"),
        (90 * S + S // 2, "1m30.5s"),
        (245 * S, "4m5s"),
        (245 * S + 1_000_000, "4m5.001s"),
        (3723 * S, "1h2m3s"),
        (18_367 * S + 1_000_000, "5h6m7.001s"),
        (480 * 60 * S + 1, "8h0m0.000000001s"),
        (LONGEST, "2562047h47m16.854775807s"),
        (-1500, "-1.5µs"),
    ],
)
def test_prints(nanoseconds: int, text: str) -> None:
    assert format_go_duration(nanoseconds) == text


@given(st.integers(-LONGEST - 1, LONGEST))
def test_what_is_printed_is_read_back(nanoseconds: int) -> None:
    assert parse_go_duration(format_go_duration(nanoseconds)) == nanoseconds


@given(st.text(max_size=40))
def test_any_text_is_a_duration_or_a_complaint(text: str) -> None:
    with contextlib.suppress(DurationError):
        assert -LONGEST - 1 <= parse_go_duration(text) <= LONGEST
