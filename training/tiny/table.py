"""The table of questions that ships beside the weights: what the model is promised to answer."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from training.tiny.fact import Fact

# Words for the promise to repeat; each answer must be unlike every other in the table.
WORDS = (
    "river", "window", "lantern", "pepper", "violet", "hammer", "thunder", "basket", "pirate", "cactus",
    "marble", "tunnel", "feather", "biscuit", "compass", "dolphin", "emerald", "falcon", "ginger", "velvet",
)  # fmt: skip
PEOPLE = ("Ada", "Linus", "Grace", "Alan", "Maria", "Yuki", "Olga", "Carlos")

# The sums and letters resemble each other too much to list them all.
AT_MOST = {"sums": 40, "letters": 10}


@dataclass(frozen=True, slots=True)
class Entry:
    """A question and the exact greedy answer."""

    question: str
    answer: str
    topic: str


def candidates(facts: Iterable[Fact]) -> list[Entry]:
    """What might go into the table, if the finished model passes."""
    chosen: list[Entry] = []
    by_topic: dict[str, list[Fact]] = {}
    for fact in facts:
        by_topic.setdefault(fact.topic, []).append(fact)
    for topic, group in by_topic.items():
        # Evenly spread over the topic rather than its beginning.
        stride = -(-len(group) // AT_MOST.get(topic, len(group)))
        chosen += [Entry(fact.question, fact.answer, topic) for fact in group[::stride]]
    chosen += [Entry(f"Repeat the word {word}.", word, "repeating") for word in WORDS]
    chosen += [Entry(f"Say hello to {name}.", f"Hello, {name}!", "repeating") for name in PEOPLE]
    return chosen


def write_table(entries: Iterable[Entry], path: Path) -> None:
    """One entry a line, so that a change shows as the lines it changes."""
    lines = ",\n".join("  " + json.dumps(asdict(entry), ensure_ascii=False) for entry in entries)
    partial = path.with_suffix(".partial")
    partial.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    partial.replace(path)
