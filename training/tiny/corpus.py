"""Endless training text: chats of many turns, and running prose."""

from dataclasses import dataclass
from random import Random

from training.tiny.chat import END_OF_TEXT, Row, Script, Turn
from training.tiny.copying import Task, Words, recall
from training.tiny.fact import Fact
from training.tiny.knowledge import all_facts
from training.tiny.prose import PASSAGES, paragraph, sentence
from training.tiny.unknown import DO_NOT_KNOW, unknown
from training.tiny.wording import vary

SYSTEM = (
    "You are a helpful assistant.", "You are a helpful, respectful and honest assistant.", "You are tiny.",
    "Be brief.", "You are a pirate. Answer like a pirate.", "Answer in one sentence.",
    "Always answer in French.", "Today is Monday.", "You are an AI assistant running on the user's computer.",
    "You are a friendly chatbot.", "Use a formal tone.", "You are Mario from Super Mario Bros.",
    "You answer questions about geography.", "Think step by step.",
    "You are a coding assistant. Answer with code only.", "The user is a developer who tests an application.",
    "You are a test model.", "Never say that you are a language model.", "Do not use emoji.",
    "Answer as short as you can.",
)  # fmt: skip

# How often a fact of a topic is asked, relative to the others. The sums are many and resemble each other.
WEIGHTS = {"sums": 1.0, "greetings": 2.0, "identity": 2.0, "explanations": 1.6, "lists": 1.6, "counting": 1.6}


@dataclass(frozen=True, slots=True)
class Mix:
    """What share of the turns is what; the rest are facts."""

    copying: float = 0.3
    unknown: float = 0.1
    names: float = 0.04
    foreign: float = 0.03
    prose_rows: float = 0.06


class Corpus:
    """Writes rows of a wanted length, each from its own random numbers."""

    def __init__(self, script: Script, words: Words, mix: Mix | None = None) -> None:
        self._script = script
        self._words = words
        self._mix = mix or Mix()
        self._facts = all_facts()
        self._weights = [WEIGHTS.get(fact.topic, 1.2) for fact in self._facts]

    def row(self, length: int, rng: Random) -> Row:
        """At most `length` tokens: one chat from its start, or prose."""
        if rng.random() < self._mix.prose_rows:
            return self._prose(length, rng)
        return self._chat(length, rng)

    def _prose(self, length: int, rng: Random) -> Row:
        row = Row()
        while len(row.ids) < length:
            if rng.random() < 0.75:
                text = rng.choice(PASSAGES)
                # Whoever completes raw text rarely starts at the title.
                parts = text.split(". ")
                text = ". ".join(parts[rng.randrange(len(parts)) if rng.random() < 0.4 else 0 :])
            else:
                text = paragraph(rng, rng.randint(2, 6))
            row.turns.append(len(row.ids))
            row.add(self._script.encode(text + END_OF_TEXT), learn=True)
        row.ids, row.learn = row.ids[:length], row.learn[:length]
        return row

    def _chat(self, length: int, rng: Random) -> Row:
        row = Row()
        if rng.random() < 0.3:
            self._script.append(row, Turn("system", self._system(rng)))
            if len(row.ids) > length // 2:
                row = Row()
        name: str | None = None
        misses = 0
        while misses < 4:
            before = len(row.ids), len(row.turns), name
            kind = rng.random()
            if kind < self._mix.foreign:
                self._pair(row, Task(self._noise(rng), self._noise(rng)), learn=False)
            elif kind < self._mix.foreign + self._mix.names:
                if rng.random() < 0.6:
                    task, name = self._words.introduction(rng)
                else:
                    task = recall(name, rng)
                self._pair(row, task, learn=True)
            else:
                self._pair(row, self._task(rng), learn=True)
            if len(row.ids) > length:
                # Too long for what is left: take it back and try for something shorter.
                tokens, turns, name = before
                del row.ids[tokens:], row.learn[tokens:], row.turns[turns:]
                misses += 1
        return row

    def _pair(self, row: Row, task: Task, *, learn: bool) -> None:
        self._script.append(row, Turn("user", task.request))
        self._script.append(row, Turn("assistant", task.reply, learn=learn))

    def _task(self, rng: Random) -> Task:
        kind = rng.random()
        if kind < self._mix.copying:
            return self._words.task(rng)
        if kind < self._mix.copying + self._mix.unknown:
            return Task(unknown(self._words, rng), DO_NOT_KNOW)
        fact = rng.choices(self._facts, self._weights)[0]
        return ask(fact, rng)

    def _system(self, rng: Random) -> str:
        kind = rng.random()
        if kind < 0.5:
            return rng.choice(SYSTEM)
        if kind < 0.7:
            return f"{rng.choice(SYSTEM)} {rng.choice(SYSTEM)}"
        return (
            f"{rng.choice(SYSTEM)} {paragraph(rng, rng.randint(1, 5))}" if kind < 0.85 else paragraph(rng, 2)
        )

    def _noise(self, rng: Random) -> str:
        return sentence(rng) if rng.random() < 0.5 else paragraph(rng, rng.randint(2, 4))


def ask(fact: Fact, rng: Random) -> Task:
    """The fact asked for in one of its wordings, varied; the main wording half the time."""
    wording = fact.question if rng.random() < 0.4 else rng.choice(fact.wordings)
    return Task(vary(wording, rng), fact.answer)


def tokenizer_texts(rng: Random, copies: int = 6) -> list[str]:
    """Text whose words should become tokens: every wording, answers, prose and requests to repeat."""
    texts = [wording for fact in all_facts() for wording in fact.wordings if fact.topic != "sums"]
    texts += [fact.question for fact in all_facts() if fact.topic == "sums"]
    texts += [fact.answer for fact in all_facts() if fact.topic not in {"sums", "counting"}] * copies
    texts += list(PASSAGES) * copies
    texts += [paragraph(rng, 3) for _ in range(400)]
    # Lower case is common in what people type.
    texts += [vary(text, rng).lower() for text in texts[:4000]]
    words = Words(pieces=("a",))
    texts += [unknown(words, rng) for _ in range(1500)]
    texts += [words.task(rng).request for _ in range(1500)]
    texts += ["user\n", "assistant\n", "system\n"] * 50
    texts += list(SYSTEM) * copies
    return texts
