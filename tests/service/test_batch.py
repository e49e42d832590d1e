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
from tropa.service.errors import InvalidRequest
from tropa.service.tokens import NOTE as FRAME
from tropa.service.tokens import Frame

BAD = -1
REFUSED, UNSPLIT = "refused", "unsplit"


def number(text: list[int] | str) -> float:
    """The vector of a text."""
    return float(text[0] if isinstance(text, list) else ord(text[0]))


class Engine:
    """Vectors that say which text they are of. `hold` keeps answers back until `go`."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.notes: dict[str, Any] = {}
        self.calls: list[list[Any]] = []
        self.questions = 0
        self.notes[FRAME] = Frame((), ())
        self.inside = 0
        self.most = 0
        self.cancelled = 0
        self.go = asyncio.Event()
        self.go.set()
        self.called = asyncio.Event()

    async def call(self, path: str, body: dict[str, Any], decode: Callable[[bytes], Any] = json.loads) -> Any:
        if path == "/tokenize":
            self.questions += 1
            content = body["content"]
            if UNSPLIT in content:
                raise EngineRefused("no text", 400, "invalid_request_error")
            tokens = [[each] if isinstance(each, int) else [*map(ord, each)] for each in content]
            return {"tokens": [token for part in tokens for token in part]}
        assert path == "/v1/embeddings"
        texts: list[Any] = body["input"]
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
        if [BAD] in texts or REFUSED in texts:
            raise EngineRefused("a bad text", 400, "invalid_request_error")
        entries = [{"index": i, "embedding": [number(t)]} for i, t in reversed([*enumerate(texts)])]
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
    assert any(all([text] in call for text in (2, 3, 4)) for call in engine.calls)


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


class Broken(Engine):
    async def call(self, *_: Any) -> Any:
        raise KeyError("data")


async def test_a_fault_of_ours_reaches_who_waits() -> None:
    engine = Broken(2)
    with pytest.raises(KeyError):
        await embed(engine, 1, 2)


def single(engine: Engine, text: str, *, plain: bool, most: int = 100) -> asyncio.Task[tuple[Any, int, int]]:
    def fit(tokens: list[int]) -> list[int]:
        if not tokens:
            raise InvalidRequest("no tokens")
        return tokens[:most]

    slot = cast("Slot", engine)
    return asyncio.create_task(Batch.of(slot).vector(slot, text, fit, plain=plain))


async def test_a_plain_text_that_is_alone_is_one_question() -> None:
    engine = Engine(4)
    vector, tokens, lost = await single(engine, "abc", plain=True)
    assert (json.loads(bytes(vector)), tokens, lost) == ([97.0], 1, 0), "the engine's count: one text"
    assert (engine.calls, engine.questions) == ([["abc"]], 0)


async def test_what_could_be_special_is_split_first() -> None:
    engine = Engine(4)
    _, tokens, lost = await single(engine, "abc", plain=False, most=2)
    assert (tokens, lost) == (2, 1)
    assert engine.calls == [[[97, 98]]]


async def test_a_text_that_the_engine_will_not_split_is_split_and_cut_here() -> None:
    engine = Engine(4)
    _, tokens, lost = await single(engine, REFUSED, plain=True, most=3)
    assert (tokens, lost) == (3, 4)
    assert engine.calls[-1] == [[*map(ord, "ref")]]


async def test_texts_that_come_one_after_the_other_while_the_engine_is_busy_go_together() -> None:
    engine = Engine(8)
    engine.go.clear()
    first = single(engine, "x", plain=True)
    await engine.called.wait()
    others = []
    for text in ("a", "b", "", "c"):
        others.append(single(engine, text, plain=True))
        await asyncio.sleep(0)
    engine.called.clear()
    await engine.called.wait()
    assert engine.calls == [["x"], [[97], [98], [99]]]
    assert engine.questions == 1
    engine.go.set()
    await first
    found = await asyncio.gather(*others, return_exceptions=True)
    assert isinstance(found.pop(2), InvalidRequest)
    assert [json.loads(bytes(each[0])) for each in found if isinstance(each, tuple)] == [
        [97.0],
        [98.0],
        [99.0],
    ]


async def test_only_whose_text_cannot_be_split_hears_of_it() -> None:
    engine = Engine(8)
    engine.go.clear()
    first = embed(engine, 1)
    await engine.called.wait()
    good, bad = single(engine, "a", plain=True), single(engine, UNSPLIT, plain=True)
    engine.called.clear()
    await engine.called.wait()
    engine.go.set()
    await first
    assert (await good)[1:] == (1, 0)
    with pytest.raises(EngineRefused, match="no text"):
        await bad


async def test_nobody_waits_for_company_when_there_is_enough() -> None:
    engine = Engine(4)
    engine.go.clear()
    first = embed(engine, 1)
    await engine.called.wait()
    others = [embed(engine, text) for text in (2, 3)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert engine.calls == [[[1]], [[2], [3]]]
    engine.go.set()
    await asyncio.gather(first, *others)
