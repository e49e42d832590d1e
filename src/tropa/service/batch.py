"""Texts of many callers, embedded together: each in a slot of its own, as many at once as the runner has.

An engine computes short texts side by side almost as fast as one alone, so what waits goes in company. A caller is let
in by the scheduler with one slot, like any request; here those who are in share all slots, one text each in turn, so
that a thousand texts of one caller do not make another wait for the last of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from tropa.errors import TropaError
from tropa.runners.errors import EngineRefused
from tropa.runners.herd import Slot
from tropa.runners.reply import Vectors, decode_vectors

NOTE = "batch"
Text: TypeAlias = "str | list[int]"
"""As it was written, or its tokens."""


class _Job:
    """The texts of one caller in, vectors out."""

    def __init__(self, slot: Slot, texts: Sequence[Text]) -> None:
        self.slot = slot
        self.texts = texts
        self.vectors: list[msgspec.Raw] = [msgspec.Raw()] * len(texts)
        self.tokens = 0
        """As the engine counted them, where it was asked for nothing else."""
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


_Picked = list[tuple[_Job, int]]


class Batch:
    """One per runner. Its capacity is the runner's slots: more is never in the engine."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._share = max(1, slots // 2)
        """Texts in one call: while one half is computed, the other half is on its way."""
        self._waiting: deque[_Job] = deque()
        self._calls: dict[asyncio.Task[None], _Picked] = {}

    @classmethod
    def of(cls, slot: Slot) -> Batch:
        """That of the slot's runner."""
        found: Batch = slot.notes.setdefault(NOTE, None) or cls(slot.slots)
        slot.notes[NOTE] = found
        return found

    @property
    def idle(self) -> bool:
        """Whether what is asked for now would be computed at once and alone."""
        return not self._calls and not self._waiting

    async def vectors(self, slot: Slot, texts: Sequence[list[int]]) -> list[msgspec.Raw]:
        """One vector (a JSON list of numbers) for each text, in their order. Raises what the engine said of one of
        them."""
        if not texts:
            return []
        return (await self._done(_Job(slot, texts))).vectors

    async def alone(self, slot: Slot, text: str) -> tuple[msgspec.Raw, int]:
        """The vector of a text that the engine splits itself, and how many tokens it made. Only while `idle`: in
        company nobody knows whose tokens are whose."""
        assert self.idle
        job = await self._done(_Job(slot, [text]))
        return job.vectors[0], job.tokens

    async def _done(self, job: _Job) -> _Job:
        self._waiting.append(job)
        self._send()
        try:
            await job.done
        finally:
            self._leave(job)
        return job

    def _send(self) -> None:
        while self._waiting and self._free and (not self._calls or self._free >= self._share):
            picked = self._pick(min(self._free, self._share))
            self._free -= len(picked)
            task = asyncio.create_task(self._call(picked))
            self._calls[task] = picked
            task.add_done_callback(self._called)

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
        try:
            await _ask(picked)
        except EngineRefused:
            if len(picked) == 1:
                raise
            for each in picked:  # only whose text it was hears of it
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


async def _ask(picked: _Picked) -> None:
    texts = [job.texts[index] for job, index in picked]
    slot = picked[0][0].slot
    answer: Vectors = await slot.call("/v1/embeddings", {"input": texts}, decode_vectors)
    for entry in answer.data:
        job, index = picked[entry.index]
        job.tokens += answer.usage.prompt_tokens
        job.take(index, entry.embedding)
