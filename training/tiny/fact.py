"""The unit of knowledge: several ways to ask, one answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing the model knows by heart. The first wording is the one that the table of questions prints."""

    topic: str
    wordings: tuple[str, ...]
    answer: str

    @property
    def question(self) -> str:
        """The main wording."""
        return self.wordings[0]


def normal(text: str) -> str:
    """What two questions that should get the same answer have in common: no case, no outer punctuation."""
    return " ".join(text.lower().split()).strip(" .?!")
