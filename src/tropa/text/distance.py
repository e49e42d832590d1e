"""How alike two words are, for "did you mean"."""

from __future__ import annotations


def distance(one: str, other: str) -> int:
    """How many letters must be put in, taken out or replaced to get from one to the other."""
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        corner, row[0] = row[0], i
        for j, right in enumerate(other, 1):
            corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (left != right))
    return row[-1]
