"""Texts of many callers, embedded together: each in a slot of its own, as many at once as the runner has.

An engine computes short texts side by side almost as fast as one alone, so what waits goes in company. A caller is let
in by the scheduler with one slot, like any request; here those who are in share all slots, one text each in turn, so
that a thousand texts of one caller do not make another wait for the last of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from tropa.errors import TropaError
from tropa.runners.errors import EngineRefused
from tropa.runners.herd import Slot
from tropa.runners.reply import Vectors, decode_vectors
from tropa.service.tokens import framed

NOTE = "batch"
GATHER = 0.01
"""Seconds for which a text waits for company while the engine computes others, which takes it several times as long."""
Text: TypeAlias = "str | list[int]"
"""As it was written, or its tokens."""
Fit: TypeAlias = Callable[[list[int]], list[int]]


class _Job:
    """The texts of one caller in, vectors out. `fit` makes what is embedded of the tokens of a text that came as it was
    written; it may raise."""

    def __init__(
        self, slot: Slot, texts: Sequence[Text], fit: Fit | None = None, *, plain: bool = False
    ) -> None:
        self.slot = slot
        self.texts = [*texts]
        self.fit = fit
        self.plain = plain
        """The engine may split the text itself: it fits, and is read alike in every way."""
        self.vectors: list[msgspec.Raw] = [msgspec.Raw()] * len(texts)
        self.tokens = self.lost = 0
        """Of a text that came as it was written: how many it had, and how many were cut."""
        self.sent = 0
        self.left = len(texts)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def take(self, index: int, vector: msgspec.Raw) -> None:
        self.vectors[index] = vector
        self.left -= 1
        if not self.left and not self.done.done():
            self.done.set_result(None)

    def fail(self, error: BaseException) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def split(self, index: int, whole: list[int]) -> None:
        """A text came as it was written: these are its tokens."""
        try:
            self.texts[index] = kept = self.fit(whole) if self.fit else whole
        except TropaError as exc:
            self.fail(exc)
        else:
            self.tokens, self.lost = len(kept), len(whole) - len(kept)


_Picked = list[tuple[_Job, int]]


class Batch:
    """One per runner. Its capacity is the runner's slots: more is never in the engine."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._share = max(1, slots // 2)
        """Texts in one call: while one half is computed, the other half is on its way."""
        self._waiting: deque[_Job] = deque()
        self._calls: dict[asyncio.Task[None], _Picked] = {}
        self._gathering: asyncio.TimerHandle | None = None
        self._waited = False

    @classmethod
    def of(cls, slot: Slot) -> Batch:
        """That of the slot's runner."""
        found: Batch = slot.notes.setdefault(NOTE, None) or cls(slot.slots)
        slot.notes[NOTE] = found
        return found

    async def vectors(self, slot: Slot, texts: Sequence[list[int]]) -> list[msgspec.Raw]:
        """One vector (a JSON list of numbers) for each text, in their order. Raises what the engine said of one of
        them."""
        if not texts:
            return []
        return (await self._done(_Job(slot, texts))).vectors

    async def vector(self, slot: Slot, text: str, fit: Fit, *, plain: bool) -> tuple[msgspec.Raw, int, int]:
        """That of one text, how many tokens it had, and how many `fit` cut. It becomes tokens together with the texts
        that it is computed with; a `plain` one that is alone, and surely fits, is left to the engine as it is."""
        job = await self._done(_Job(slot, [text], fit, plain=plain))
        return job.vectors[0], job.tokens, job.lost

    async def _done(self, job: _Job) -> _Job:
        self._waiting.append(job)
        self._send()
        try:
            await job.done
        finally:
            self._leave(job)
        return job

    def _send(self) -> None:
        """What waits, as far as there is room. While the engine is busy, half of the room at once or nothing: those who
        were answered together ask again one after the other."""
        while self._waiting and self._free:
            if self._calls and (self._free < self._share or not self._gathered()):
                return
            picked = self._pick(min(self._free, self._share))
            self._free -= len(picked)
            task = asyncio.create_task(self._call(picked))
            self._calls[task] = picked
            task.add_done_callback(self._called)

    def _gathered(self) -> bool:
        """Whether enough texts wait, or have waited long enough."""
        enough = sum(len(job.texts) - job.sent for job in self._waiting) >= self._share
        if not enough and not self._waited:
            if self._gathering is None:
                self._gathering = asyncio.get_running_loop().call_later(GATHER, self._gather_no_more)
            return False
        if self._gathering is not None:
            self._gathering.cancel()
        self._gathering, self._waited = None, False
        return True

    def _gather_no_more(self) -> None:
        self._gathering, self._waited = None, bool(self._waiting)
        self._send()

    def _pick(self, most: int) -> _Picked:
        """One text of each caller in turn."""
        picked: _Picked = []
        while self._waiting and len(picked) < most:
            job = self._waiting.popleft()
            picked.append((job, job.sent))
            job.sent += 1
            if job.sent < len(job.texts):
                self._waiting.append(job)
        return picked

    async def _call(self, picked: _Picked) -> None:
        if len(picked) == 1 and picked[0][0].plain:
            try:
                picked[0][0].tokens = await _ask(picked)
            except EngineRefused:  # it did not fit after all, or is none of the engine's business
                picked[0][0].plain = False
            else:
                return
        if raw := [each for each in picked if isinstance(each[0].texts[each[1]], str)]:
            await _split(raw)
        ready = [each for each in picked if not each[0].done.done()]
        if not ready:
            return
        try:
            await _ask(ready)
        except EngineRefused:
            if len(ready) == 1:
                raise
            for each in ready:  # only whose text it was hears of it
                try:
                    await _ask([each])
                except TropaError as exc:
                    each[0].fail(exc)

    def _called(self, task: asyncio.Task[None]) -> None:
        picked = self._calls.pop(task)
        self._free += len(picked)
        if not task.cancelled() and (error := task.exception()):
            for job, _ in picked:
                job.fail(error)
        self._send()

    def _leave(self, job: _Job) -> None:
        """Nobody waits for it any more. A call is given up when all who are in it have left."""
        if not job.done.done():
            job.done.cancel()
        if job in self._waiting:
            self._waiting.remove(job)
        for task, picked in self._calls.items():
            if all(each.done.done() for each, _ in picked) and any(each is job for each, _ in picked):
                task.cancel()


async def _split(raw: _Picked) -> None:
    """Texts that came as they were written become tokens, in one question."""
    try:
        found = await framed(raw[0][0].slot, [str(job.texts[index]) for job, index in raw])
    except EngineRefused as exc:
        if len(raw) == 1:
            raw[0][0].fail(exc)
            return
        for each in raw:  # only whose text it was hears of it
            await _split([each])
        return
    for (job, index), whole in zip(raw, found, strict=True):
        job.split(index, whole)


async def _ask(picked: _Picked) -> int:
    """How many tokens it were, together."""
    texts = [job.texts[index] for job, index in picked]
    slot = picked[0][0].slot
    answer: Vectors = await slot.call("/v1/embeddings", {"input": texts}, decode_vectors)
    for entry in answer.data:
        job, index = picked[entry.index]
        job.take(index, entry.embedding)
    return answer.usage.prompt_tokens
