"""Whether the network would answer right, and by how much, found out without generating.

With the right answer given as context, a greedy reply equals it exactly when each of its tokens is the
likeliest one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from training.tiny.chat import END, Script, Turn
from training.tiny.copying import HELD_OUT, HELD_OUT_NAMES
from training.tiny.fact import Fact
from training.tiny.model import Llama
from training.tiny.wording import vary

BATCH = 64


@dataclass(frozen=True, slots=True)
class Paper:
    """A chat that awaits an answer, and the answer."""

    turns: tuple[Turn, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Mark:
    """How a paper went. `margin` is the smallest lead of a right token's logit over the best other one."""

    paper: Paper
    margin: float

    @property
    def right(self) -> bool:
        """Whether greedy decoding gives the answer."""
        return self.margin > 0


def alone(question: str, answer: str) -> Paper:
    """A question without anything before it."""
    return Paper((Turn("user", question),), answer)


def held_out_papers() -> list[Paper]:
    """Words and names that training never showed, to repeat and to greet."""
    words = [alone(f"Repeat the word {word}.", word) for word in HELD_OUT]
    return words + [alone(f"Say hello to {name}.", f"Hello, {name}!") for name in HELD_OUT_NAMES]


def varied_papers(facts: Sequence[Fact], rng: Random) -> list[Paper]:
    """Every fact asked once in a random wording with random small changes."""
    return [alone(vary(rng.choice(fact.wordings), rng), fact.answer) for fact in facts]


@torch.no_grad()
def mark(model: Llama, script: Script, papers: Sequence[Paper]) -> list[Mark]:
    """Marks in the order of the papers."""
    sheets = [(script.prompt(list(paper.turns)), script.encode(paper.answer + END)) for paper in papers]
    # Neighbours of similar length share a batch, so that little of it is padding.
    order = sorted(range(len(papers)), key=lambda index: len(sheets[index][0]) + len(sheets[index][1]))
    margins = [0.0] * len(papers)
    for start in range(0, len(order), BATCH):
        group = order[start : start + BATCH]
        longest = max(len(sheets[index][0]) + len(sheets[index][1]) for index in group)
        tokens = torch.zeros(len(group), longest, dtype=torch.long)
        for line, index in enumerate(group):
            prompt, answer = sheets[index]
            tokens[line, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        features = model.features(tokens, torch.arange(longest).expand(len(group), longest))
        for line, index in enumerate(group):
            prompt, answer = sheets[index]
            logits = model.logits(features[line, len(prompt) - 1 : len(prompt) + len(answer) - 1])
            target = torch.tensor(answer).unsqueeze(1)
            wanted = logits.gather(1, target)
            rival = logits.scatter(1, target, float("-inf")).max(dim=1, keepdim=True).values
            margins[index] = float((wanted - rival).min())
    return [Mark(paper, margin) for paper, margin in zip(papers, margins, strict=True)]


def share_right(marks: Sequence[Mark]) -> float:
    """Right papers among all."""
    return sum(one.right for one in marks) / len(marks)
