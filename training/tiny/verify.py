"""The exam in the real engine: the file that ships, asked everything that its table promises."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tokenizers import Tokenizer

from training.tiny.chat import Script, Turn
from training.tiny.copying import Words
from training.tiny.corpus import ask
from training.tiny.engine import SLOTS, Engine, Reply
from training.tiny.exam import Paper, alone, held_out_papers, varied_papers
from training.tiny.knowledge import all_facts
from training.tiny.model import Shape
from training.tiny.table import Entry, candidates
from training.tiny.tokenizer import plain_pieces
from training.tiny.unknown import DO_NOT_KNOW, unknown

NASTY = (
    "def f(x):\n\treturn x**2  # twice\n\n\nprint(f(12345), 'don''t', \"it's we'll\")\r\n",
    "naïve café — “quotes” … 日本語とEnglish 🙂👩‍👩‍👧 ɐʇ ﷽",
    "   leading,  double  and trailing   \n \n\t mixed \u00a0 \u2028 blanks ",
    "<|im_start|>user\nWhat is 10+7?<|im_end|>\n<|im_start|>assistant\n<|endoftext|> <|im_nothing|>",
    "3.14159 1,000,000 x2y ½ ² Ⅷ ٣٤ a1b2 __init__ C++ --flag=1 https://x.y/z?q=%20&r#s",
)
# System prompts and earlier chats that training did not contain in these words.
PERSONAS = (
    "You are a grumpy librarian who hates noise and loves maps. Reply politely whatever happens.",
    "This assistant belongs to an online shop that sells lamps. Customers ask about prices and returns.",
)
OPENINGS = ("Once", "The Fox and the Grapes.", "Alice was", "The small fox", "It was the best of times,")
LEAST_ENTRIES = 150
# Other processors and other batch sizes round differently; this much they never differ by.
LEAST_MARGIN = 1.5


@dataclass(frozen=True, slots=True)
class Result:
    """A group of papers and what the engine replied to each."""

    name: str
    papers: Sequence[Paper]
    replies: Sequence[Reply]

    def right(self, index: int) -> bool:
        """Whether one reply is exact and ended by itself."""
        reply = self.replies[index]
        return reply.text == self.papers[index].answer and reply.stopped

    @property
    def count(self) -> int:
        """How many are right."""
        return sum(self.right(index) for index in range(len(self.papers)))

    @property
    def margin(self) -> float:
        """The smallest margin among the right ones."""
        return min((r.margin for i, r in enumerate(self.replies) if self.right(i)), default=0.0)

    def describe(self) -> str:
        """One line for a person."""
        total = len(self.papers)
        share = 100 * self.count / total
        return f"{self.name}: {self.count}/{total} = {share:.1f} %, smallest margin {self.margin:.2f}"


class Examiner:
    """Asks one engine many papers, as many at a time as it has slots."""

    def __init__(self, path: Path, tokenizer: Tokenizer) -> None:
        self._engine = Engine(path, Shape(vocab=1).context)
        self._tokenizer = tokenizer
        self._script = Script(tokenizer)
        self._words = Words(plain_pieces(tokenizer))

    def check_tokenizer(self) -> None:
        """The engine must cut text as training did, and write chats as training did."""
        for text in NASTY:
            ours, theirs = self._tokenizer.encode(text).ids, self._engine.tokenize(text)
            if ours != theirs:
                msg = f"tokens differ for {text!r}:\n{ours}\n{theirs}"
                raise AssertionError(msg)
        turns = [
            Turn("system", "Be brief."),
            Turn("user", "Hello!"),
            Turn("assistant", "Hi"),
            Turn("user", "Why?"),
        ]
        if self._script.prompt(turns) != self._engine.tokenize(self._engine.render(tuple(turns))):
            msg = "the file's chat template differs from the training text"
            raise AssertionError(msg)

    def ask(self, name: str, papers: Sequence[Paper]) -> Result:
        """All papers of one group."""
        with ThreadPoolExecutor(SLOTS) as pool:
            replies = list(pool.map(lambda paper: self._engine.chat(paper.turns), papers))
        return Result(name, papers, replies)

    def in_company(self, entries: Sequence[Entry], rng: Random) -> list[Paper]:
        """Each question after a few other turns."""
        return [self._after(entry, self._small_talk(rng, rng.randint(1, 5))) for entry in entries]

    def with_system(self, entries: Sequence[Entry], rng: Random) -> list[Paper]:
        """Each question under a system prompt."""
        return [self._after(entry, [Turn("system", rng.choice(PERSONAS))]) for entry in entries]

    def after_long_chat(self, entries: Sequence[Entry], rng: Random, tokens: int) -> list[Paper]:
        """Each question after that many tokens of chat."""
        papers = []
        for entry in entries:
            turns: list[Turn] = []
            while len(self._script.prompt(turns)) < tokens:
                turns += self._small_talk(rng, 5)
            papers.append(self._after(entry, turns))
        return papers

    def strangers(self, count: int, rng: Random) -> list[Paper]:
        """Requests that it should decline."""
        return [alone(unknown(self._words, rng), DO_NOT_KNOW) for _ in range(count)]

    def fresh_words(self, count: int, rng: Random) -> list[Paper]:
        """Made-up words to repeat."""
        words = [self._words.word(rng) for _ in range(count)]
        return [alone(f"Repeat the word {word}.", word) for word in words]

    def _after(self, entry: Entry, turns: list[Turn]) -> Paper:
        return Paper((*turns, Turn("user", entry.question)), entry.answer)

    def _small_talk(self, rng: Random, pairs: int) -> list[Turn]:
        turns = []
        for _ in range(pairs):
            task = self._words.task(rng) if rng.random() < 0.3 else ask(rng.choice(all_facts()), rng)
            turns += [Turn("user", task.request), Turn("assistant", task.reply)]
        return turns

    def complete(self, prompt: str) -> str:
        """Raw completion, for a person to look at."""
        return self._engine.complete(prompt)


def verify(path: Path, tokenizer: Tokenizer, report: Callable[[str], None]) -> list[Entry]:
    """The entries that the file answers exactly and by a safe margin in every situation.

    Raises AssertionError if they are too few.
    """
    examiner = Examiner(path, tokenizer)
    examiner.check_tokenizer()
    report("tokens and template agree with the engine")
    rng = Random(7)
    entries = candidates(all_facts())
    situations = {
        "alone": [alone(entry.question, entry.answer) for entry in entries],
        "after 1 to 5 other questions": examiner.in_company(entries, rng),
        "the same with other company": examiner.in_company(entries, rng),
        "under a system prompt": examiner.with_system(entries, rng),
        "after 1,000 tokens": examiner.after_long_chat(entries, rng, 1000),
        "after 2,800 tokens": examiner.after_long_chat(entries, rng, 2800),
    }
    margins = [float("inf")] * len(entries)
    for name, papers in situations.items():
        result = examiner.ask(f"table {name}", papers)
        report(result.describe())
        for index, reply in enumerate(result.replies):
            margins[index] = min(margins[index], reply.margin if result.right(index) else 0.0)
        _report_failures(result, report)
    for name, papers in {
        "every fact, varied wording": varied_papers(all_facts(), rng),
        "held-out words and names": held_out_papers(),
        "made-up words": examiner.fresh_words(300, rng),
        "declining": examiner.strangers(300, rng),
    }.items():
        result = examiner.ask(name, papers)
        report(result.describe())
        _report_failures(result, report)
    for opening in OPENINGS:
        report(f"completion: {opening!r} -> {examiner.complete(opening)!r}")
    kept = [entry for entry, margin in zip(entries, margins, strict=True) if margin >= LEAST_MARGIN]
    dropped = [
        entry.question for entry, margin in zip(entries, margins, strict=True) if margin < LEAST_MARGIN
    ]
    report(f"left out of the table: {dropped}")
    if len(kept) < LEAST_ENTRIES:
        msg = f"only {len(kept)} questions are answered safely"
        raise AssertionError(msg)
    return kept


def _report_failures(result: Result, report: Callable[[str], None], limit: int = 8) -> None:
    wrong = [index for index in range(len(result.papers)) if not result.right(index)]
    for index in wrong[:limit]:
        asked = result.papers[index].turns[-1].content
        report(f"    {asked!r}: {result.replies[index].text[:120]!r}")
