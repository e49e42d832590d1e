"""How alike two words are."""

from __future__ import annotations

import pytest

from tropa.text import distance


@pytest.mark.parametrize(
    ("one", "other", "far"), [("", "ps", 2), ("list", "list", 0), ("lits", "list", 2), ("rn", "run", 1)]
)
def test_distance(one: str, other: str, far: int) -> None:
    assert distance.distance(one, other) == far
    assert distance.distance(other, one) == far
