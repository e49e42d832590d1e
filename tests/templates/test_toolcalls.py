"""Tool calls in a model's text: the vectors, what is no call, and that no cutting of the text matters."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropa.templates.toolcalls import ToolCallParser

WEATHER = ("get_temperature", {"city": "Paris"})
TOKYO = ("get_conditions", {"location": "Tokyo"})
NAMES = ("get_temperature", "get_conditions", "say_hello", "say_hello_world", "get", "now")


def said(*call: Any) -> str:
    name, arguments = call
    return json.dumps({"name": name, "arguments": arguments})


def parse(tag: str, pieces: list[str]) -> tuple[str, list[tuple[str, dict[str, Any]]]]:
    parser = ToolCallParser(tag, NAMES)
    content, calls = [], []
    for piece in pieces:
        text, found = parser.feed(piece)
        content.append(text)
        calls.extend(found)
    content.append(parser.finish())
    assert [call.index for call in calls] == [*range(len(calls))]
    return "".join(content), [(call.name, call.arguments) for call in calls]


JEFF = '{"name": "jeff"} ' + said(*TOKYO)
DEEPSEEK = (
    "Hm.<|tool▁calls▁begin|><|tool▁call▁begin|>function<|tool▁sep|>get_conditions\n"
    '```json\n{"location": "Tokyo"}\n```<|tool▁call▁end|><|tool▁calls▁end|>'
)
NO_CALL = '<tool_call>{"name": "unknown", "arguments": {}}</tool_call>'
CODE = "for (;;) { print(1) }"
CASES: list[tuple[str, str, str, list[tuple[str, dict[str, Any]]]]] = [
    # the tag, the text; the content, the calls
    ("<tool_call>", f"Let me check. <tool_call>{said(*WEATHER)}</tool_call>", "Let me check. ", [WEATHER]),
    ("{", '{"name": "search", "arguments": {}}', '{"name": "search", "arguments": {}}', []),
    ("{", JEFF, JEFF, []),
    ("{", CODE, CODE, []),
    ("{", "{ print(1) }", "{ print(1) }", []),
    ("[", "[special delivery]", "[special delivery]", []),
    ("[", "[]", "[]", []),
    ("<|tool▁calls▁begin|>", DEEPSEEK, "Hm.", [TOKYO]),
    ("<tool_call>", '<tool_call>{"name": "say_hello', "", []),
    (
        "<tool_call>",
        f"<tool_call>{said(*WEATHER)}</tool_call>\n<tool_call>\n{said(*TOKYO)}\n</tool_call>",
        "",
        [WEATHER, TOKYO],
    ),
    (
        "[TOOL_CALLS] [",
        f"[TOOL_CALLS] [{said(*WEATHER)}, {said(*TOKYO)}][/TOOL_CALLS]",
        "",
        [WEATHER, TOKYO],
    ),
    ("[", f"[{said(*WEATHER)}, {said(*TOKYO)}]", "", [WEATHER, TOKYO]),
    ("{", said(*WEATHER), "", [WEATHER]),
    ("{", f" \n{said(*WEATHER)}\n", " \n", [WEATHER]),
    ("{", f"{said(*WEATHER)}; {said(*TOKYO)}", "", [WEATHER, TOKYO]),
    ("{", '{"name": "now", "parameters": {}}', "", [("now", {})]),
    ("{", '{"name": "now", "parameters": "{\\"zone\\": 1}"}', "", [("now", {"zone": 1})]),
    ("{", '{"now": {"zone": 1}}', "", [("now", {"zone": 1})]),
    ("{", '{"function": {"name": "now", "arguments": {}}}', "", [("now", {})]),
    ("{", '{"answer": {"name": "Bob"}}', '{"answer": {"name": "Bob"}}', []),
    ("{", '{"name": "now"}', '{"name": "now"}', []),
    ("{", '{"name": "get_temperature", "argu', '{"name": "get_temperature", "argu', []),
    # arguments first, and a tool's name within them
    ("<tool_call>", '<tool_call>{"arguments": {"a": "now"}, "name": "get"}', "", [("get", {"a": "now"})]),
    # the longer of two names
    ("<t>", "<t>say_hello_world {}", "", [("say_hello_world", {})]),
    ("[TOOL_CALLS]", '[TOOL_CALLS]now[ARGS]{"name": "Bob"}', "", [("now", {"name": "Bob"})]),
    # no arguments at all
    ("<tool_call>", '<tool_call>{"name": "now"}</tool_call>', "", [("now", {})]),
    # what a model writes after its calls, and what only looked like one
    ("<tool_call>", f"<tool_call>{said(*WEATHER)}</tool_call>\nOne moment.", "One moment.", [WEATHER]),
    ("<tool_call>", NO_CALL, NO_CALL, []),
    ("<tool_call>", "Write <tool_call> and then JSON.", "Write <tool_call> and then JSON.", []),
    ("<tool_call>", f"<tool_call>{said(*WEATHER)}<tool_call>{{", "", [WEATHER]),
    ("<tool_call>", "a <tool", "a <tool", []),
    # braces and quotes in strings; a line break that JSON forbids
    ("{", said("now", {"code": '} " \\" {'}), "", [("now", {"code": '} " \\" {'})]),
    ("{", '{"name": "now", "arguments": {"a": "b\nc"}}', "", [("now", {"a": "b\nc"})]),
    ("<t>", "<t>{not json} " + said(*TOKYO), "", [TOKYO]),
]


@pytest.mark.parametrize(("tag", "text", "content", "calls"), CASES)
def test_vectors(tag: str, text: str, content: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    assert parse(tag, [text]) == (content, calls)


@pytest.mark.parametrize(("tag", "text", "content", "calls"), CASES)
def test_the_same_letter_by_letter(
    tag: str, text: str, content: str, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    assert parse(tag, [*text]) == (content, calls)


WORDS = [
    *(
        "<tool_call>",
        "</tool_call>",
        "<tool",
        "{",
        "}",
        "[",
        "]",
        '"',
        "\\",
        ":",
        ",",
        " ",
        "x",
        "say_",
        "hello",
    ),
    *(
        '{"name": "get", "arguments": {"a": "}"}}',
        '{"name": "nobody"}',
        '{"now": {}}',
        '"name"',
        '"arguments"',
    ),
]


@given(
    st.sampled_from(["<tool_call>", "{", "[", "[TOOL_CALLS] ["]),
    st.lists(st.sampled_from(WORDS), max_size=12),
    st.data(),
)
def test_however_the_text_is_cut(tag: str, words: list[str], data: st.DataObject) -> None:
    text = "".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in pairwise([0, *cuts, len(text)])]
    assert parse(tag, pieces) == parse(tag, [text])


@given(st.sampled_from(["<tool_call>", "{", "["]), st.text("abc {}[]\"'\n<tool_", max_size=40))
def test_ordinary_text_is_never_lost(tag: str, text: str) -> None:
    content, calls = parse(tag, [*text])
    assert (content, calls) == (text, [])


def test_text_before_a_call_is_told_at_once() -> None:
    parser = ToolCallParser("<tool_call>", NAMES)
    assert parser.feed("Let me see <") == ("Let me see ", [])
    content, calls = parser.feed(f"b> yes. <tool_call>{said(*WEATHER)}")
    assert content == "<b> yes. "
    assert [call.name for call in calls] == ["get_temperature"]


def test_long_arguments_in_small_pieces_take_no_time() -> None:
    """Each character is looked at once: 200 kB, 4 characters a piece."""
    text = "<t>" + said("now", {"file": "line {\\n\n" * 20_000})
    started = time.monotonic()
    _, calls = parse("<t>", [text[at : at + 4] for at in range(0, len(text), 4)])
    assert len(calls) == 1
    assert time.monotonic() - started < 20


def test_nesting_without_end_is_no_call_and_no_harm() -> None:
    text = '{"a":' * 5000 + "1" + "}" * 5000
    assert parse("{", [text]) == (text, [])
