"""Repeating what the user gave: words never seen before, phrases and names.

This is a skill and not knowledge: the words are made up afresh for every example.
"""

from dataclasses import dataclass
from random import Random
from string import ascii_lowercase, digits

from training.tiny.prose import ADJECTIVES, NOUNS, VERBS, sentence
from training.tiny.wording import vary

# Never used in training: they measure whether the skill reaches beyond the words it was shown.
HELD_OUT = (
    "xylophone", "kangaroo", "bicycle", "telescope", "umbrella", "volcanic", "harmonica", "pineapple",
    "zeppelin", "algorithm", "butterfly", "chocolatier", "dinosaur", "elephantine", "fjord", "giraffe",
    "hippopotamus", "iguana", "jellyfish", "kaleidoscope", "labyrinth", "marmalade", "nightingale",
    "orchestra", "penguin", "quicksilver", "rhinoceros", "saxophone", "tambourine", "ukulele", "vanguard",
    "wheelbarrow", "yachtsman", "zucchini", "abacus", "blizzard", "cinnamon", "dragonfly", "eclipse",
    "firefly", "gondola", "hurricane", "Iceberg", "Jasmine", "Kettle", "LAVENDER", "MOSQUITO", "nebula-7",
    "token42", "user_19", "a1b2c3", "7f3e9d", "qwxzk", "mississippi", "banana", "bookkeeper", "rhythm",
    "syzygy", "Llanfair", "supercalifragilistic", "deoxyribose", "1234567", "2026-11-23",
)  # fmt: skip

NAMES = (
    "Ada", "Alan", "Grace", "Linus", "Maria", "Anna", "Peter", "Tom", "Mary", "John", "Emma", "Paul", "Lena",
    "Max", "Sophie", "Lucas", "Olga", "Ivan", "Mei", "Yuki", "Ahmed", "Fatima", "Carlos", "Lucia", "Noah",
    "Mia", "Eva",
)  # fmt: skip
HELD_OUT_NAMES = (
    "Barbara",
    "Dennis",
    "Margaret",
    "Guido",
    "Radia",
    "Katherine",
    "Edsger",
    "Zoltan",
    "Priya",
    "Xavier",
)

REPEAT = (
    "Repeat the word {}.", "Repeat the word {}.", "Repeat the word {}.", "Say the word {}.", "Say {}.",
    "Repeat {}.", "Echo {}.", 'Repeat the word "{}".', 'Say "{}".', "Repeat this word: {}",
    "Please repeat the word {}.", "Repeat after me: {}", "Write the word {}.", "Can you repeat the word {}?",
    "Can you say {}?", "Just say {}.", "Answer with the word {}.", "Reply with the word {}.",
    "Reply with {}.", "Echo: {}", "Say: {}", "Repeat the word '{}'.", "Only say the word {}.",
    "Repeat the following word: {}", "Say only {}.",
)  # fmt: skip
RECITE = (
    "Repeat after me: {}", "Repeat this: {}", "Say: {}", "Repeat: {}", "Echo: {}", "Please repeat: {}",
    "Repeat the following: {}", "Repeat this sentence: {}", "Repeat the sentence: {}",
)  # fmt: skip
GREET = (
    "Say hello to {}.",
    "Say hello to {}!",
    "Greet {}.",
    "Please say hello to {}.",
    "Can you say hello to {}?",
)
PART = ("Say goodbye to {}.", "Say goodbye to {}!", "Please say goodbye to {}.", "Say bye to {}.")
INTRODUCE = (
    "My name is {}.",
    "I am called {}.",
    "Hello, my name is {}.",
    "Hi, my name is {}.",
    "You can call me {}.",
)
ASK_NAME = ("What is my name?", "What's my name?", "Do you know my name?", "Tell me my name.", "Who am I?")

_HEADS = (
    *"bcdfghjklmnprstvwz",
    "br",
    "ch",
    "cl",
    "dr",
    "fl",
    "gr",
    "pl",
    "qu",
    "sh",
    "st",
    "th",
    "tr",
    "str",
)
_VOWELS = (*"aeiou" * 3, "ai", "ea", "ee", "io", "oo", "ou", "y")
_TAILS = (*[""] * 10, *"dlmnprst", "ck", "ll", "nd", "ng", "nt", "rm", "ss", "st", "x")
_FOREIGN = "äöüßéèñçøåабвгдежзиклмнопрстуфαβγδεηθκλμπρσω日本語中文字你好谢水火山川한국어안녕🙂🌍🎉🚀🐱✨"


@dataclass(frozen=True, slots=True)
class Task:
    """One request and the only right reply."""

    request: str
    reply: str


def _syllables(rng: Random) -> str:
    return "".join(
        rng.choice(_HEADS) + rng.choice(_VOWELS) + rng.choice(_TAILS)
        for _ in range(rng.choice((1, 2, 2, 3, 3, 4)))
    )


@dataclass(frozen=True, slots=True)
class Words:
    """A source of words to copy. `pieces` are the tokenizer's own: each must be met in a word to copy."""

    pieces: tuple[str, ...]

    def word(self, rng: Random) -> str:
        """A word of one of many kinds; never one of those held out."""
        while True:
            word = self._word(rng)
            if word not in HELD_OUT and word not in HELD_OUT_NAMES:
                return word

    def _word(self, rng: Random) -> str:
        kind = rng.random()
        if kind < 0.15:
            word = rng.choice((*NOUNS, *ADJECTIVES, *VERBS, *NAMES))
        elif kind < 0.4:
            word = _syllables(rng)
        elif kind < 0.65:
            word = "".join(rng.choice(self.pieces) for _ in range(rng.choice((1, 1, 2, 2, 3, 4))))
        elif kind < 0.75:
            word = "".join(rng.choice(ascii_lowercase) for _ in range(rng.randint(1, 12)))
        elif kind < 0.82:
            word = "".join(rng.choice(ascii_lowercase + digits) for _ in range(rng.randint(2, 12)))
        elif kind < 0.87:
            word = "".join(rng.choice(digits) for _ in range(rng.randint(1, 9)))
        elif kind < 0.91:
            word = "".join(rng.choice(_FOREIGN) for _ in range(rng.randint(1, 3)))
        elif kind < 0.95:
            word = _syllables(rng) + str(rng.randrange(1000))
        else:
            word = (
                _syllables(rng)
                + rng.choice("-_.")
                + rng.choice((_syllables(rng), str(rng.randrange(10_000))))
            )
        case = rng.random()
        if case < 0.12:
            return word.capitalize()
        return word.upper() if case < 0.2 else word

    def name(self, rng: Random) -> str:
        """A person's name, real or made up."""
        known = rng.random() < 0.4
        return rng.choice(NAMES) if known else self.word(rng).capitalize()

    def phrase(self, rng: Random) -> str:
        """Several words, or a sentence with its full stop."""
        if rng.random() < 0.3:
            return sentence(rng)
        return " ".join(self.word(rng) for _ in range(rng.randint(2, 5)))

    def task(self, rng: Random) -> Task:
        """Something to repeat or someone to greet."""
        kind = rng.random()
        if kind < 0.68:
            word = self.word(rng)
            return Task(_fill(rng.choice(REPEAT), word, rng), word)
        if kind < 0.82:
            phrase = self.phrase(rng)
            return Task(_fill(rng.choice(RECITE), phrase, rng), phrase)
        name = self.name(rng)
        if kind < 0.94:
            return Task(_fill(rng.choice(GREET), name, rng), f"Hello, {name}!")
        return Task(_fill(rng.choice(PART), name, rng), f"Goodbye, {name}!")

    def introduction(self, rng: Random) -> tuple[Task, str]:
        """The user's name told, and the name."""
        name = self.name(rng)
        return Task(_fill(rng.choice(INTRODUCE), name, rng), f"Nice to meet you, {name}!"), name


def recall(name: str | None, rng: Random) -> Task:
    """The user's name asked for; `name` is what was told earlier in this chat."""
    reply = "You have not told me your name." if name is None else f"Your name is {name}."
    return Task(vary(rng.choice(ASK_NAME), rng), reply)


def _fill(template: str, payload: str, rng: Random) -> str:
    # The template is varied first, so that the payload keeps its own case and marks.
    return vary(template, rng, fixed_end=template.endswith("{}")).replace("{}", payload)
