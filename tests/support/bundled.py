"""The bundled model, and the table of what it knows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tropa

FOLDER = Path(tropa.__file__).parent / "bundled"
TINY = FOLDER / "tiny.gguf"


@dataclass(frozen=True)
class Question:
    question: str
    answer: str


@cache
def questions() -> tuple[Question, ...]:
    """Each with an answer of its own."""
    table = json.loads((FOLDER / "questions.json").read_text())
    return tuple(Question(entry["question"], entry["answer"]) for entry in table)


def long_question() -> Question:
    """The one with the longest answer: a stream of some dozens of tokens."""
    return max(questions(), key=lambda each: len(each.answer))
