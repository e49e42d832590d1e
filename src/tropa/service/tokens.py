"""Many texts as tokens, in few questions to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from tropa.runners.errors import EngineRefused
from tropa.runners.herd import Slot

BORDER = (1 << 31) - 1  # no vocabulary has that many tokens: what the engine hands back as it came
PROBE = "a"
FRAME, QUEUE = "frame", "tokenizing"
TOGETHER = 1 << 15
"""Characters of the texts of several callers in one question. Longer ones go alone: nobody waits for them."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the model's tokenizer puts before and behind a text."""

    before: tuple[int, ...]
    behind: tuple[int, ...]


async def framed(slot: Slot, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, the model's special ones around them. What looks like one in a text is text."""
    frame = slot.notes.get(FRAME)
    if frame is None:
        frame = slot.notes[FRAME] = await _frame(slot)
    return [[*frame.before, *tokens, *frame.behind] for tokens in await plain(slot, texts)]


async def plain(slot: Slot, texts: Sequence[str]) -> list[list[int]]:
    """The tokens of each text, and nothing else."""
    if not texts:
        return []
    if sum(map(len, texts)) > TOGETHER:
        return await _split(slot, texts)
    queue = slot.notes.get(QUEUE)
    if queue is None:
        queue = slot.notes[QUEUE] = _Queue()
    found: list[list[int]] = await queue.ask(slot, texts)
    return found


class _Queue:
    """One per runner. While one question is on its way, those of other callers gather for the next: each is a
    connection and a thread's work for the engine, however little it asks."""

    def __init__(self) -> None:
        self._waiting: list[_Question] = []
        self._task: asyncio.Task[None] | None = None

    async def ask(self, slot: Slot, texts: Sequence[str]) -> list[list[int]]:
        question = _Question(slot, texts)
        self._waiting.append(question)
        if self._task is None:
            self._task = asyncio.create_task(self._work())
        return await question.answer

    async def _work(self) -> None:
        try:
            while together := self._next():
                await _answer(together)
        finally:
            self._task = None

    def _next(self) -> list[_Question]:
        """Of those who still wait, as many as go in one question."""
        waiting = [question for question in self._waiting if not question.answer.done()]
        size = taken = 0
        for question in waiting:
            size += question.size
            if taken and size > TOGETHER:
                break
            taken += 1
        self._waiting = waiting[taken:]
        return waiting[:taken]


class _Question:
    def __init__(self, slot: Slot, texts: Sequence[str]) -> None:
        self.slot = slot
        self.texts = texts
        self.size = sum(map(len, texts))
        self.answer: asyncio.Future[list[list[int]]] = asyncio.get_running_loop().create_future()


async def _answer(questions: Sequence[_Question]) -> None:
    """Raises nothing: those who asked hear of it."""
    texts = [text for each in questions for text in each.texts]
    asking = asyncio.create_task(_split(questions[0].slot, texts))
    await asyncio.wait({asking})
    error = asking.exception()
    if isinstance(error, EngineRefused) and len(questions) > 1:
        for question in questions:  # only whose text it was hears of it
            await _answer([question])
        return
    tokens = iter([] if error else asking.result())
    for question in questions:
        answer = [next(tokens, []) for _ in question.texts]
        if question.answer.done():
            continue
        if error:
            question.answer.set_exception(error)
        else:
            question.answer.set_result(answer)


async def _split(slot: Slot, texts: Sequence[str]) -> list[list[int]]:
    content: list[str | int] = []
    for text in texts:
        content += [text, BORDER]
    found: list[list[int]] = [[]]
    for token in await _tokenize(slot, content, special=False):
        if token == BORDER:
            found.append([])
        else:
            found[-1].append(token)
    return found[:-1]


async def _frame(slot: Slot) -> Frame:
    bare = await _tokenize(slot, [PROBE, BORDER], special=False)
    whole = await _tokenize(slot, PROBE, special=True)
    inner = bare[:-1]
    for start in range(len(whole) - len(inner) + 1):
        if whole[start : start + len(inner)] == inner:
            return Frame(tuple(whole[:start]), tuple(whole[start + len(inner) :]))
    return Frame((), ())


async def _tokenize(slot: Slot, content: str | list[str | int], *, special: bool) -> list[int]:
    answer = await slot.call(
        "/tokenize", {"content": content, "add_special": special, "parse_special": False}
    )
    tokens: list[int] = answer["tokens"]
    return tokens
