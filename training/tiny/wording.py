"""Small changes that people make to a question without meaning anything else."""

from random import Random

BEFORE = (
    "Please ", "Hello, ", "Hi! ", "Hey tiny, ", "Tiny, ", "So, ", "Ok, ", "Okay, ", "And ", "Now ",
    "Quick question: ", "Question: ", "Can you tell me: ", "I would like to know: ", "Tell me, ", "Well, ",
    "Hmm, ", "One more: ", "Next question: ", "Please tell me: ", "Could you tell me: ", "Hello! ",
    "Good morning. ", "Thanks. ",
)  # fmt: skip
AFTER = (
    " Please.",
    " please",
    ", please",
    ", please?",
    " Thanks!",
    " Thank you.",
    " thanks",
    ", tiny?",
    " :)",
    "!!",
)


def _punctuate(text: str, rng: Random) -> str:
    """Drop, double or loosen the mark at the end."""
    bare = text.rstrip(".?!")
    if bare == text:
        return text + rng.choice((".", "?", "", "", ""))
    mark = text[len(bare) :]
    return bare + rng.choice(
        ("", "", "", "", "", "?", ".", "!", mark * 2, " " + mark, mark + mark[-1] * 2, "...")
    )


def vary(text: str, rng: Random, *, fixed_end: bool = False) -> str:
    """One of the ways to write `text`; the text itself in two of five cases.

    A placeholder ``{}`` stays as it is. With `fixed_end` nothing is added or removed after the last word.
    """
    if rng.random() < 0.4:
        return text
    if not fixed_end and rng.random() < 0.4:
        text = _punctuate(text, rng)
    if rng.random() < 0.2:
        before = rng.choice(BEFORE)
        text = before + (text[0].lower() + text[1:] if rng.random() < 0.5 else text)
    if not fixed_end and rng.random() < 0.12:
        text = text.rstrip(".?!") + rng.choice(AFTER)
    case = rng.random()
    if case < 0.4:
        text = text.lower()
    elif case < 0.45:
        text = text.upper()
    elif case < 0.55:
        text = text[0].lower() + text[1:]
    if not fixed_end and rng.random() < 0.04:
        text += rng.choice((" ", "\n", "  "))
    return text
