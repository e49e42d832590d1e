from __future__ import annotations

import math
from typing import Any

import pytest

from tropa.service.errors import InvalidRequest
from tropa.service.keepalive import parse


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (0, 0.0),
        ("0", 0.0),
        ("0s", 0.0),
        (300, 300.0),
        (0.5, 0.5),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("250ms", 0.25),
        (-1, math.inf),
        (-0.1, math.inf),
        ("-1m", math.inf),
        ("-1s", math.inf),
        (1e300, math.inf),
        (10**400, math.inf),
        (-(10**400), math.inf),
    ],
)
def test_all_its_forms(value: Any, seconds: float | None) -> None:
    assert parse(value) == seconds


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("abc", 'time: invalid duration "abc"'),
        ("", 'time: invalid duration ""'),
        ("5", 'time: missing unit in duration "5"'),
        ("-1", 'time: missing unit in duration "-1"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("1h" * 500_000, f'time: invalid duration "{"1h" * 10}…" of 1000000 characters'),
        (True, "Unsupported type: 'bool'"),
        ([], "Unsupported type: '[]interface {}'"),
        ({}, "Unsupported type: 'map[string]interface {}'"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_time(value: Any, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(value)
    assert str(caught.value) == message
