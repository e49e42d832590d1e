"""``python -m training.tiny``: from nothing to a verified ``tiny.gguf`` and its table of questions."""

import argparse
import sys
import time
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer

from training.tiny.chat import Script
from training.tiny.copying import Words
from training.tiny.corpus import Corpus, tokenizer_texts
from training.tiny.exam import alone, held_out_papers, mark, share_right, varied_papers
from training.tiny.export import write_gguf
from training.tiny.knowledge import all_facts
from training.tiny.model import Llama, Shape
from training.tiny.table import write_table
from training.tiny.tokenizer import plain_pieces, train_tokenizer
from training.tiny.train import Plan, train
from training.tiny.verify import verify

VOCABULARY = 1792
BARE = 1152
SEED = 1
BUNDLED = Path(__file__).parents[2] / "src" / "tropa" / "bundled"


def say(line: str) -> None:
    """Progress, at once even into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def make_tokenizer() -> Tokenizer:
    """The same tokenizer every time."""
    return train_tokenizer(tokenizer_texts(Random(SEED)), size=VOCABULARY, bare=BARE)


def make_model(tokenizer: Tokenizer, plan: Plan) -> Llama:
    """Train and report on the way."""
    torch.manual_seed(SEED)
    model = Llama(Shape(vocab=VOCABULARY))
    script = Script(tokenizer)
    say(f"{model.parameter_count():,} parameters, {len(all_facts())} facts")

    def exam() -> str:
        facts = all_facts()
        groups = {
            "alone": [alone(fact.question, fact.answer) for fact in facts],
            "varied": varied_papers(facts, Random(SEED)),
            "held-out words": held_out_papers(),
        }
        marks = {name: mark(model, script, papers) for name, papers in groups.items()}
        shares = "  ".join(f"{name} {100 * share_right(group):.1f} %" for name, group in marks.items())
        return f"  exam: {shares}  smallest margin alone {min(one.margin for one in marks['alone']):.2f}"

    train(model, Corpus(script, Words(plain_pieces(tokenizer))), plan, say, exam)
    return model


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m training.tiny", description=__doc__)
    parser.add_argument("--out", type=Path, default=BUNDLED, help="folder for tiny.gguf and questions.json")
    parser.add_argument("--steps", type=int, default=Plan().steps, help="length of the training")
    parser.add_argument("--verify-only", action="store_true", help="examine the file that is there")
    args = parser.parse_args()
    weights, table = args.out / "tiny.gguf", args.out / "questions.json"

    began = time.monotonic()
    tokenizer = make_tokenizer()
    if not args.verify_only:
        write_gguf(make_model(tokenizer, Plan(steps=args.steps)), tokenizer, weights)
        size, minutes = weights.stat().st_size / 1e6, (time.monotonic() - began) / 60
        say(f"wrote {weights} ({size:.2f} MB) after {minutes:.1f} min")
    entries = verify(weights, tokenizer, say)
    write_table(entries, table)
    say(f"wrote {table} ({len(entries)} questions) after {(time.monotonic() - began) / 60:.1f} min")
    return 0


if __name__ == "__main__":
    sys.exit(main())
