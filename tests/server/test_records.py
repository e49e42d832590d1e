"""Records of the native API: which keys there are, in the reference's order, with ours behind each group."""

from __future__ import annotations

import json
from typing import Any

from tropa.server.native import records
from tropa.service.events import Counts, Dropped, End, Event, Piece, Rendered

METRICS = [
    "total_duration",
    "load_duration",
    "prompt_eval_count",
    "prompt_eval_duration",
    "eval_count",
    "eval_duration",
]
OURS = ["prompt_tokens", "cached_tokens", "truncated"]
CALLS: tuple[dict[str, Any], ...] = (
    {"id": "call_a", "function": {"index": 0, "name": "f", "arguments": {}}},
)
SURE: tuple[dict[str, Any], ...] = ({"token": "a", "logprob": 0.0},)
FULL = Piece("text", "thought", CALLS, SURE)
END = End("stop", Counts(1, 2, 3, 4, 5, 6, 7), (1, 2), dropped=Dropped(1, 9))


def keys(record: bytes) -> list[str]:
    return [*json.loads(record)]


def collected(*events: Event) -> records.Collected:
    whole = records.Collected()
    for event in events:
        whole.add(event)
    return whole


def test_keys_of_a_generate() -> None:
    first = ["model", "created_at", "response"]
    assert keys(records.generate("m", Piece())) == [*first, "done"]
    assert keys(records.generate("m", FULL)) == [*first, "thinking", "done", "tool_calls", "logprobs"]
    last = ["done", "done_reason", "context", *METRICS, *OURS]
    assert keys(records.generate("m", END)) == [*first, *last]
    whole = collected(FULL, END).generate("m")
    assert keys(whole) == [*first, "thinking", *last, "tool_calls", "logprobs"]
    assert keys(records.generate("m", Rendered("p"))) == [*first, "done", "_debug_info"]
    assert keys(records.generate("m", End("load"))) == [*first, "done", "done_reason"]


def test_keys_of_a_chat() -> None:
    first = ["model", "created_at", "message", "done"]
    assert keys(records.chat("m", Piece())) == first
    assert keys(records.chat("m", FULL)) == [*first, "logprobs"]
    assert keys(records.chat("m", END)) == [*first, "done_reason", *METRICS, *OURS]
    whole = collected(FULL, END).chat("m")
    assert keys(whole) == [*first, "done_reason", "logprobs", *METRICS, *OURS]
    assert [*json.loads(whole)["message"]] == ["role", "content", "thinking", "tool_calls"]
    assert keys(records.chat("m", Rendered("p"))) == [*first, "_debug_info"]
    assert keys(records.chat("m", End("unload"))) == [*first, "done_reason"]


def test_a_record_without_text_says_so() -> None:
    assert json.loads(records.generate("m", Piece()))["response"] == ""
    assert json.loads(records.chat("m", END))["message"] == {"role": "assistant", "content": ""}
    assert json.loads(records.chat("m", Rendered("p")))["message"] == {"role": "", "content": ""}
