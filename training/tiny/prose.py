"""Running text for raw completion: retold fables, public-domain openings and made-up sentences."""

from pathlib import Path
from random import Random

# Passages are divided by empty lines; a verse keeps its line ends.
PASSAGES = tuple(Path(__file__).with_name("passages.txt").read_text(encoding="utf-8").strip().split("\n\n"))

NOUNS = (
    "fox", "river", "boat", "house", "teacher", "garden", "window", "letter", "sailor", "mountain", "baker",
    "forest", "lamp", "child", "horse", "bridge", "farmer", "bird", "market", "door", "king", "stone",
    "village", "cat", "dog", "clock", "ship", "tree", "road", "book", "painter", "island", "train", "doctor",
    "queen", "apple", "field", "tower", "wolf", "cloud", "table", "bottle", "engine", "server", "robot",
    "story", "picture", "song", "harbour", "lake",
)  # fmt: skip
ADJECTIVES = (
    "small", "old", "quiet", "green", "happy", "tired", "bright", "cold", "warm", "clever", "heavy", "young",
    "strange", "blue", "empty", "friendly", "brave", "lonely", "golden", "dark", "slow", "kind", "hungry",
    "wooden", "broken",
)  # fmt: skip
VERBS = (
    "found", "saw", "carried", "painted", "opened", "loved", "followed", "heard", "built", "lost", "watched",
    "bought", "remembered", "left", "crossed", "cleaned", "drew", "sold", "repaired", "visited", "needed",
    "wanted", "moved",
)  # fmt: skip
PLACES = (
    "near the river", "in the garden", "by the sea", "under the old tree", "at the market", "in the morning",
    "after the rain", "on the hill", "behind the house", "in the evening", "on a cold day",
    "before the storm", "in the small village", "at night", "far from home",
)  # fmt: skip


def sentence(rng: Random) -> str:
    """One grammatical sentence about nothing."""
    one, two = rng.choice(NOUNS), rng.choice(NOUNS)
    how, what = rng.choice(ADJECTIVES), rng.choice(ADJECTIVES)
    form = rng.randrange(5)
    if form == 0:
        return f"The {how} {one} {rng.choice(VERBS)} the {two} {rng.choice(PLACES)}."
    if form == 1:
        return f"A {one} {rng.choice(VERBS)} the {what} {two}."
    if form == 2:
        return f"The {one} was {how} and the {two} was {what}."
    if form == 3:
        did, not_done = rng.choice(VERBS), rng.choice(VERBS)
        return f"The {one} {did} the {two}, but nobody {not_done} the {how} {rng.choice(NOUNS)}."
    return f"There was a {how} {one} {rng.choice(PLACES)}."


def paragraph(rng: Random, sentences: int) -> str:
    """Several such sentences in a row."""
    return " ".join(sentence(rng) for _ in range(sentences))
