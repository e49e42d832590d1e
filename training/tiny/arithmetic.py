"""Small sums. Each is learnt by heart: nothing here teaches arithmetic beyond the table."""

from collections.abc import Iterator

from training.tiny.fact import Fact

LIMIT = 10


def _sum(a: int, b: int, word: str, sign: str, total: int) -> Fact:
    return Fact(
        "sums",
        (
            f"What is {a} {word} {b}?",
            f"What's {a} {word} {b}?",
            f"How much is {a} {word} {b}?",
            f"What is {a} {sign} {b}?",
            f"{a} {word} {b}?",
            f"{a} {sign} {b}",
            f"{a}{sign}{b}",
            f"{a} {sign} {b} =",
            f"Calculate {a} {sign} {b}.",
        ),
        f"{a} {word} {b} is {total}.",
    )


def sum_facts() -> Iterator[Fact]:
    """Sums up to 10 + 10, differences that are not negative, and products up to 10 times 10."""
    for a in range(LIMIT + 1):
        for b in range(LIMIT + 1):
            yield _sum(a, b, "plus", "+", a + b)
            if a >= b:
                yield _sum(a, b, "minus", "-", a - b)
            if a >= 1 and b >= 1:
                yield _sum(a, b, "times", "*", a * b)
