"""An engine's records as pieces of an answer. The records are such as the pinned engine sends."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest

from tropa.engines.launch import Address, Launch
from tropa.runners.child import Child
from tropa.runners.errors import ContextExceeded, EngineRefused, RunnerDied
from tropa.runners.herd import Slot
from tropa.runners.runner import Runner
from tropa.service import relay
from tropa.service.events import Piece
from tropa.service.relay import Finish

RUNNER_CONTEXT = 4096


class Recorded(Slot):
    """A slot whose engine says what was recorded, and remembers what it was told."""

    def __init__(self, records: list[dict[str, Any]], context: int = RUNNER_CONTEXT) -> None:
        launch = Launch(Path("/m.gguf"), Address(), "tropa-1", RUNNER_CONTEXT, slots=1, threads=1)
        super().__init__(Runner(launch, Child.__new__(Child)), context)
        self._records = records
        self.told: dict[str, Any] = {}
        self.path = ""
        self.left_open = True

    async def stream(self, path: str, body: Any) -> AsyncGenerator[bytes, None]:
        self.path, self.told = path, body
        try:
            for record in self._records:
                yield json.dumps(record).encode()
        finally:
            self.left_open = False


def timings(tokens: int, prompt: int = 10, cached: int = 0) -> dict[str, Any]:
    return {
        "cache_n": cached,
        "prompt_n": prompt - cached,
        "prompt_ms": 8.5,
        "predicted_n": tokens,
        "predicted_ms": 4.25,
        "predicted_per_second": 99.9,
    }


def progress(total: int) -> dict[str, Any]:
    return {"total": total, "cache": 0, "processed": total, "time_ms": 1}


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "choices": [{"index": 0, "finish_reason": finish, "delta": fields}],
        "object": "chat.completion.chunk",
    }


def chat_of(*words: str, prompt: int = 10, finish: str = "stop", held: bool = False) -> list[dict[str, Any]]:
    """As the engine streams it: the prompt's progress, a record with the role alone, then a record for each token."""
    start = delta(role="assistant", content=None)
    records = [start | {"prompt_progress": progress(prompt)}, start]
    for number, word in enumerate(words, 1):
        records.append(delta(content=word) | ({"timings": timings(number, prompt)} if held else {}))
    return [*records, delta(finish) | {"timings": timings(len(words), prompt)}]


def completion_of(
    *words: str, prompt: int = 10, stop_type: str = "eos", held: bool = False
) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = [{"content": "", "stop": False, "prompt_progress": progress(prompt)}]
    for number, word in enumerate(words, 1):
        record = {"content": word, "stop": False, "tokens_predicted": number}
        records.append(record | ({"timings": timings(number, prompt)} if held else {}))
    end = {"content": "", "stop": True, "stop_type": stop_type, "timings": timings(len(words), prompt)}
    return [*records, end]


RELAYS: dict[
    str, tuple[Callable[..., AsyncGenerator[Piece | Finish, None]], Callable[..., list[dict[str, Any]]]]
] = {
    "chat": (relay.chat, chat_of),
    "completion": (relay.completion, completion_of),
}


async def run(kind: str, slot: Recorded, top: int = 0) -> tuple[str, list[Piece], Finish]:
    """The text, the pieces, and how it ended. The end is the last."""
    pieces: list[Piece] = []
    finish = None
    async for event in RELAYS[kind][0](slot, {"n_predict": -1}, top):
        assert finish is None
        if isinstance(event, Piece):
            pieces.append(event)
        else:
            finish = event
    assert finish is not None
    assert not slot.left_open
    return "".join(piece.text for piece in pieces), pieces, finish


@pytest.mark.parametrize("kind", RELAYS)
async def test_each_word_is_a_piece_and_the_end_has_the_counts(kind: str) -> None:
    slot = Recorded(RELAYS[kind][1]("The", " sky", " is", " blue."))
    text, pieces, finish = await run(kind, slot)
    assert text == "The sky is blue."
    assert len(pieces) == 4
    assert (finish.reason, finish.prompt_tokens) == ("stop", 10)
    assert (finish.timings.prompt_n, finish.timings.predicted_n) == (10, 4)
    assert slot.told.items() >= {"stream": True, "return_progress": True, "n_predict": -1}.items()


@pytest.mark.parametrize(
    ("kind", "records"),
    [
        ("chat", chat_of("a", finish="length")),
        ("completion", completion_of("a", stop_type="limit")),
    ],
)
async def test_a_limit_is_told_as_length(kind: str, records: list[dict[str, Any]]) -> None:
    assert (await run(kind, Recorded(records)))[2].reason == "length"


@pytest.mark.parametrize("kind", RELAYS)
@pytest.mark.parametrize("room", [1, 2, 3])
async def test_a_request_is_held_to_its_own_context(kind: str, room: int) -> None:
    slot = Recorded(RELAYS[kind][1]("a", "b", "c", "d", "e", prompt=10, held=True), context=10 + room)
    text, _, finish = await run(kind, slot)
    assert text == "abcde"[:room]
    assert (finish.reason, finish.timings.predicted_n, finish.timings.prompt_n) == ("length", room, 10)
    assert finish.timings.prompt_ms > 0
    assert slot.told["timings_per_token"] is True


@pytest.mark.parametrize("kind", RELAYS)
async def test_tokens_that_make_no_record_count_too(kind: str) -> None:
    """The bytes of one emoji are several tokens."""
    records = RELAYS[kind][1]("a", "😀", "c", prompt=10, held=True)
    for record, tokens in zip(records[-4:], (1, 5, 6, 6), strict=True):
        record["timings"] = timings(tokens)
    text, _, finish = await run(kind, Recorded(records, context=15))
    assert (text, finish.reason, finish.timings.predicted_n) == ("a😀", "length", 5)


@pytest.mark.parametrize("kind", RELAYS)
async def test_without_a_context_of_its_own_the_engine_need_not_count_aloud(kind: str) -> None:
    slot = Recorded(RELAYS[kind][1]("a"))
    await run(kind, slot)
    assert "timings_per_token" not in slot.told


@pytest.mark.parametrize("kind", RELAYS)
async def test_a_prompt_longer_than_its_own_context_is_refused_before_a_word(kind: str) -> None:
    slot = Recorded(RELAYS[kind][1]("a", prompt=100), context=100)
    with pytest.raises(ContextExceeded) as caught:
        await run(kind, slot)
    assert (caught.value.prompt, caught.value.context) == (100, 100)
    assert not slot.left_open


@pytest.mark.parametrize("kind", RELAYS)
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"message": "no", "code": 500, "type": "server_error"}, EngineRefused("no", 500, "server_error")),
        (
            {"message": "x", "type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 4},
            ContextExceeded(9, 4),
        ),
    ],
)
async def test_an_error_in_the_stream_is_an_error(kind: str, fault: dict[str, Any], error: Exception) -> None:
    records = [*RELAYS[kind][1]("a")[:-1], {"error": fault}]
    with pytest.raises(type(error)) as caught:
        await run(kind, Recorded(records))
    assert str(caught.value) == str(error)


@pytest.mark.parametrize("kind", RELAYS)
@pytest.mark.parametrize("kept", range(3))
async def test_a_stream_that_just_ends_is_an_error_and_no_short_answer(kind: str, kept: int) -> None:
    with pytest.raises(RunnerDied, match="without a final record"):
        await run(kind, Recorded(RELAYS[kind][1]("a")[:kept]))


@pytest.mark.parametrize("kind", RELAYS)
async def test_who_leaves_closes_the_engines_stream(kind: str) -> None:
    slot = Recorded(RELAYS[kind][1]("a", "b", "c"))
    events = RELAYS[kind][0](slot, {})
    await anext(events)
    assert slot.left_open
    await events.aclose()
    assert not slot.left_open


@pytest.mark.parametrize("kind", RELAYS)
async def test_muted_nothing_is_said_and_nothing_was_generated(kind: str) -> None:
    slot = Recorded(RELAYS[kind][1]("a"))
    events = [event async for event in relay.mute(RELAYS[kind][0](slot, {}))]
    (finish,) = events
    assert isinstance(finish, Finish)
    assert (finish.reason, finish.timings.predicted_n, finish.timings.prompt_n) == ("length", 0, 10)


async def test_thinking_is_kept_apart() -> None:
    records = chat_of("b")
    records.insert(2, delta(reasoning_content="hm"))
    _, pieces, _ = await run("chat", Recorded(records))
    assert [(piece.thinking, piece.text) for piece in pieces] == [("hm", ""), ("", "b")]


def call(
    index: int, name: str | None = None, arguments: str = "", ident: str | None = None
) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": arguments}
    if name:
        function["name"] = name
    return delta(tool_calls=[{"index": index, "id": ident, "type": "function", "function": function}])


async def test_tool_calls_are_put_together_from_their_pieces() -> None:
    records = [
        *chat_of()[:2],
        call(0, "weather", "", "abc"),
        call(0, arguments='{"city":'),
        call(1, "time"),
        call(0, arguments=' "Paris"}'),
        delta("tool_calls") | {"timings": timings(9)},
    ]
    _, pieces, finish = await run("chat", Recorded(records))
    ((first, second),) = (piece.tool_calls for piece in pieces)
    assert first == {"id": "abc", "function": {"index": 0, "name": "weather", "arguments": {"city": "Paris"}}}
    assert second["function"] == {"index": 1, "name": "time", "arguments": {}}
    assert len(second["id"]) == len("call_") + 8
    assert finish.reason == "stop"


async def test_a_tool_call_cut_off_in_its_arguments_is_left_out() -> None:
    records = [*chat_of()[:2], call(0, "weather", '{"city": "Pa'), delta("length") | {"timings": timings(9)}]
    _, pieces, finish = await run("chat", Recorded(records))
    assert not pieces
    assert finish.reason == "length"


ENTRY = {
    "id": 42,
    "token": "H",
    "bytes": [72],
    "logprob": -0.5,
    "top_logprobs": [{"id": n, "token": "x", "bytes": [120], "logprob": -float(n)} for n in range(3)],
}


@pytest.mark.parametrize("top", [0, 1, 3])
@pytest.mark.parametrize("kind", RELAYS)
async def test_logprobs_have_as_many_alternatives_as_were_asked_for(kind: str, top: int) -> None:
    if kind == "chat":
        records = chat_of("H")
        records[2]["choices"][0]["logprobs"] = {"content": [ENTRY]}
    else:
        records = completion_of("H")
        records[1]["completion_probabilities"] = [ENTRY]
    _, pieces, _ = await run(kind, Recorded(records), top)
    (entry,) = pieces[0].logprobs
    assert (entry["token"], entry["logprob"], entry["bytes"]) == ("H", -0.5, [72])
    assert len(entry.get("top_logprobs", [])) == top
    assert "id" not in entry


async def test_a_special_token_has_no_bytes() -> None:
    records = completion_of("")
    records[1]["completion_probabilities"] = [{"token": "", "bytes": [], "logprob": -1.0}]
    _, pieces, _ = await run("completion", Recorded(records))
    assert pieces[0].logprobs == ({"token": "", "logprob": -1.0},)
