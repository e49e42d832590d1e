"""The training run: rows of several lengths, Muon for the matrices and AdamW for the rest."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor
from torch.nn import functional

from training.tiny.chat import Row
from training.tiny.corpus import Corpus
from training.tiny.model import Llama
from training.tiny.muon import Muon

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Size:
    """Rows and tokens per row of one step, and its share of the steps in the early and in the late part."""

    rows: int
    length: int
    early: float
    late: float


# The short rows teach the facts; the long ones teach to answer the last question whatever came before it.
SIZES = (
    Size(48, 80, early=0.45, late=0.34),
    Size(16, 256, early=0.40, late=0.24),
    Size(8, 512, early=0.15, late=0.20),
    Size(2, 2048, early=0.0, late=0.08),
    Size(1, 4096, early=0.0, late=0.14),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast. Rates are peaks: they rise over `warmup` steps and fall in a line to nothing."""

    steps: int = 2400
    warmup: int = 60
    late: float = 0.55
    matrix_rate: float = 6e-3
    other_rate: float = 6e-3
    clip: float = 1.0
    seed: int = 20261123
    report_every: int = 50
    exam_every: int = 400


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of one step, each (rows, time); `learn` marks the targets that count."""

    tokens: Tensor
    positions: Tensor
    targets: Tensor
    learn: Tensor


def _positions(row: Row, length: int, context: int, rng: Random) -> Tensor:
    """Consecutive positions, for some rows with gaps between turns.

    The gaps show the model the distances of a long chat at the price of a short one.
    """
    steps = torch.ones(length, dtype=torch.long)
    spare = context - length
    steps[0] = 0
    if spare > 0 and row.turns and rng.random() < 0.3:
        for turn in rng.sample(row.turns, min(len(row.turns), rng.randint(1, 3))):
            if turn < length:
                jump = rng.randrange(spare + 1)
                steps[turn] += jump
                spare -= jump
    return steps.cumsum(0)


def draw(corpus: Corpus, size: Size, context: int, rng: Random) -> Batch:
    """A batch of fresh rows, padded at their ends."""
    rows, length = size.rows, size.length
    tokens = torch.zeros(rows, length + 1, dtype=torch.long)
    learn = torch.zeros(rows, length + 1, dtype=torch.bool)
    positions = torch.zeros(rows, length, dtype=torch.long)
    for line in range(rows):
        row = corpus.row(length + 1, rng)
        tokens[line, : len(row.ids)] = torch.tensor(row.ids)
        learn[line, : len(row.ids)] = torch.tensor(row.learn)
        positions[line] = _positions(row, length, context, rng)
    return Batch(tokens[:, :-1], positions, tokens[:, 1:], learn[:, 1:])


def optimizers(model: Llama, plan: Plan) -> tuple[Muon, torch.optim.AdamW]:
    """Muon for what multiplies vectors inside the blocks; AdamW for the embedding and the norms."""
    inner = [weight for weight in model.blocks.parameters() if weight.dim() == 2]
    chosen = {id(weight) for weight in inner}
    rest = [weight for weight in model.parameters() if id(weight) not in chosen]
    return (
        Muon(inner, plan.matrix_rate),
        torch.optim.AdamW(rest, lr=plan.other_rate, betas=(0.9, 0.95), weight_decay=0.0),
    )


def rate_at(step: int, plan: Plan) -> float:
    """The share of the peak rate at a step."""
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    return max(0.0, (plan.steps - step) / (plan.steps - plan.warmup))


def train(model: Llama, corpus: Corpus, plan: Plan, report: Report, exam: Callable[[], str]) -> None:
    """Train in place."""
    rng = Random(plan.seed)
    muon, adam = optimizers(model, plan)
    began = time.monotonic()
    seen, losses = 0, 0.0
    for step in range(plan.steps):
        late = step >= plan.late * plan.steps
        size = rng.choices(SIZES, [size.late if late else size.early for size in SIZES])[0]
        batch = draw(corpus, size, model.shape.context, rng)
        features = model.features(batch.tokens, batch.positions)
        # Only what counts goes through the vocabulary: the questions are most of the text.
        loss = functional.cross_entropy(model.logits(features[batch.learn]), batch.targets[batch.learn])
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        muon.rate = plan.matrix_rate * rate_at(step, plan)
        adam.param_groups[0]["lr"] = plan.other_rate * rate_at(step, plan)
        muon.step()
        adam.step()
        adam.zero_grad(set_to_none=True)
        seen += size.rows * size.length
        losses += float(loss.detach())
        if (step + 1) % plan.report_every == 0:
            took = time.monotonic() - began
            report(
                f"step {step + 1}/{plan.steps}  loss {losses / plan.report_every:.4f}  "
                f"{seen / took:.0f} tokens/s  {took / 60:.1f} min"
            )
            losses = 0.0
        if (step + 1) % plan.exam_every == 0:
            report(exam())
