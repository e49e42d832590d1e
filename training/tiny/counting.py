"""Counting from one: a skill as far as `FURTHEST`, since where to stop is found in the question."""

from collections.abc import Iterator
from random import Random

from training.tiny.fact import Fact

FURTHEST = 60
PROMISED = (5, 10, 15, 20, 25, 30, 40, 50, 100)

WORDINGS = (
    "Count from 1 to {}.",
    "Count to {}.",
    "Count up to {}.",
    "Can you count to {}?",
    "Count from one to {}.",
    "List the numbers from 1 to {}.",
)


def count_to(last: int) -> Fact:
    """How to ask for the numbers up to `last`, and the numbers."""
    return Fact(
        "counting",
        tuple(wording.format(last) for wording in WORDINGS),
        ", ".join(str(number) for number in range(1, last + 1)) + ".",
    )


def counting_facts() -> Iterator[Fact]:
    """Those that the table promises."""
    return (count_to(last) for last in PROMISED)


def any_count(rng: Random) -> Fact:
    """Up to any number; small ones more often, for they fit into short rows."""
    return count_to(rng.randint(1, rng.choice((12, 30, FURTHEST))))
