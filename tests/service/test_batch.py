"""Texts of many callers in the slots of one runner. The engine is a fake that answers when it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from tropa.runners.errors import EngineRefused
from tropa.runners.herd import Slot
from tropa.service.batch import Batch

BAD = -1


class Engine:
    """Vectors that say which text they are of. `hold` keeps answers back until `go`."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.notes: dict[str, Any] = {}
        self.calls: list[list[list[int]]] = []
        self.inside = 0
        self.most = 0
        self.cancelled = 0
        self.go = asyncio.Event()
        self.go.set()
        self.called = asyncio.Event()

    async def call(self, path: str, body: dict[str, Any], decode: Callable[[bytes], Any]) -> Any:
        assert path == "/v1/embeddings"
        texts: list[list[int]] = body["input"]
        self.calls.append(texts)
        self.inside += len(texts)
        self.most = max(self.most, self.inside)
        self.called.set()
        try:
            await self.go.wait()
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.inside -= len(texts)
        if any(BAD in text for text in texts):
            raise EngineRefused("a bad text", 400, "invalid_request_error")
        entries = [{"index": i, "embedding": [float(t[0])]} for i, t in reversed([*enumerate(texts)])]
        return decode(json.dumps({"data": entries, "usage": {"prompt_tokens": len(texts)}}).encode())


def embed(engine: Engine, *texts: int) -> asyncio.Task[list[list[float]]]:
    return asyncio.create_task(_vectors(cast("Slot", engine), texts))


async def _vectors(slot: Slot, texts: Sequence[int]) -> list[list[float]]:
    return [
        json.loads(bytes(vector)) for vector in await Batch.of(slot).vectors(slot, [[text] for text in texts])
    ]


async def test_the_order_of_the_texts_is_kept() -> None:
    assert await embed(Engine(4), *range(101)) == [[float(text)] for text in range(101)]


async def test_no_more_texts_are_in_the_engine_than_it_has_slots() -> None:
    engine = Engine(4)
    await asyncio.gather(*(embed(engine, *range(1, 20)) for _ in range(5)))
    assert engine.most == 4


async def test_callers_share_a_call() -> None:
    engine = Engine(8)
    engine.go.clear()
    first = embed(engine, 1, 1, 1, 1, 1)
    await engine.called.wait()
    others = [embed(engine, text) for text in (2, 3, 4)]
    await asyncio.sleep(0)
    engine.go.set()
    await asyncio.gather(first, *others)
    assert [[2], [3], [4]] in engine.calls


async def test_one_text_does_not_wait_for_a_thousand_of_another_caller() -> None:
    engine = Engine(4)
    many = embed(engine, *range(1000))
    await engine.called.wait()
    assert await embed(engine, 7) == [[7.0]]
    assert len(engine.calls) < 50  # of 500
    assert not many.done()
    await many


async def test_only_whose_text_was_refused_hears_of_it() -> None:
    engine = Engine(8)
    engine.go.clear()
    first = embed(engine, 1, 1, 1, 1, 1)
    await engine.called.wait()
    good, bad = embed(engine, 2), embed(engine, BAD)
    await asyncio.sleep(0)
    engine.go.set()
    await first
    assert await good == [[2.0]]
    with pytest.raises(EngineRefused):
        await bad
    assert any([2] in call and [BAD] in call for call in engine.calls)


async def test_a_call_ends_when_all_who_are_in_it_have_left() -> None:
    engine = Engine(2)
    engine.go.clear()
    gone = embed(engine, 1)
    await engine.called.wait()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    engine.go.set()
    assert await embed(engine, 2, 3, 4) == [[2.0], [3.0], [4.0]]
    assert engine.cancelled == 1
    assert engine.most <= 2


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    engine = Engine(2)
    engine.go.clear()
    first = embed(engine, 1)
    await engine.called.wait()
    leaver, stayer = embed(engine, 2, 3), embed(engine, 4)
    await asyncio.sleep(0)
    leaver.cancel()
    engine.go.set()
    assert await first == [[1.0]]
    assert await stayer == [[4.0]]
    assert leaver.cancelled() or (await asyncio.wait([leaver]) and leaver.cancelled())


async def test_a_fault_of_ours_reaches_who_waits() -> None:
    engine = Engine(2)

    async def broken(path: str, body: dict[str, Any], decode: Any) -> dict[str, Any]:
        raise KeyError("data")

    engine.call = broken  # type: ignore[method-assign]
    with pytest.raises(KeyError):
        await embed(engine, 1, 2)
