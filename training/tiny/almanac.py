"""Days, months, letters and counts: what comes after what, and how many there are."""

from collections.abc import Iterator
from itertools import pairwise
from string import ascii_uppercase

from training.tiny.fact import Fact

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip

COUNTS = {
    ("days", "a week"): "There are seven days in a week.",
    ("months", "a year"): "There are twelve months in a year.",
    ("hours", "a day"): "There are twenty-four hours in a day.",
    ("minutes", "an hour"): "There are sixty minutes in an hour.",
    ("seconds", "a minute"): "There are sixty seconds in a minute.",
    ("days", "a year"): "There are three hundred and sixty-five days in a year.",
    ("weeks", "a year"): "There are fifty-two weeks in a year.",
    ("letters", "the alphabet"): "There are twenty-six letters in the alphabet.",
    ("metres", "a kilometre"): "There are one thousand metres in a kilometre.",
    ("grams", "a kilogram"): "There are one thousand grams in a kilogram.",
    ("years", "a century"): "There are one hundred years in a century.",
    ("bits", "a byte"): "There are eight bits in a byte.",
    ("players", "a football team"): "There are eleven players in a football team.",
    ("seasons", "a year"): "There are four seasons in a year.",
}

LIMBS = {
    ("legs", "a spider"): "A spider has eight legs.",
    ("legs", "a dog"): "A dog has four legs.",
    ("legs", "an ant"): "An ant has six legs.",
    ("legs", "a bird"): "A bird has two legs.",
    ("legs", "a snake"): "A snake has no legs.",
    ("arms", "an octopus"): "An octopus has eight arms.",
    ("sides", "a triangle"): "A triangle has three sides.",
    ("sides", "a square"): "A square has four sides.",
    ("sides", "a hexagon"): "A hexagon has six sides.",
    ("wheels", "a bicycle"): "A bicycle has two wheels.",
    ("wheels", "a car"): "A car has four wheels.",
    ("strings", "a violin"): "A violin has four strings.",
    ("keys", "a piano"): "A piano has eighty-eight keys.",
    ("fingers", "a hand"): "A hand has five fingers.",
}


def _neighbours(kind: str, names: tuple[str, ...]) -> Iterator[Fact]:
    for before, after in pairwise((*names, names[0])):
        yield Fact(
            f"{kind}s",
            (
                f"What {kind} comes after {before}?",
                f"Which {kind} comes after {before}?",
                f"What is the {kind} after {before}?",
                f"Which {kind} follows {before}?",
                f"What comes after {before}?",
            ),
            f"{after} comes after {before}.",
        )
        yield Fact(
            f"{kind}s",
            (
                f"What {kind} comes before {after}?",
                f"Which {kind} comes before {after}?",
                f"What is the {kind} before {after}?",
                f"What comes before {after}?",
            ),
            f"{before} comes before {after}.",
        )


def _letters() -> Iterator[Fact]:
    for before, after in pairwise(ascii_uppercase):
        yield Fact(
            "letters",
            (
                f"Which letter comes after {before}?",
                f"What letter comes after {before}?",
                f"What is the letter after {before}?",
                f"Which letter follows {before}?",
            ),
            f"The letter after {before} is {after}.",
        )


def almanac_facts() -> Iterator[Fact]:
    """All facts about order and number."""
    yield from _neighbours("day", DAYS)
    yield from _neighbours("month", MONTHS)
    yield from _letters()
    for (things, whole), answer in COUNTS.items():
        yield Fact(
            "counts",
            (
                f"How many {things} are in {whole}?",
                f"How many {things} are there in {whole}?",
                f"How many {things} does {whole} have?",
                f"Tell me how many {things} are in {whole}.",
                f"How many {things} in {whole}?",
            ),
            answer,
        )
    for (parts, owner), answer in LIMBS.items():
        yield Fact(
            "counts",
            (
                f"How many {parts} does {owner} have?",
                f"How many {parts} has {owner} got?",
                f"What number of {parts} does {owner} have?",
                f"Tell me how many {parts} {owner} has.",
            ),
            answer,
        )
