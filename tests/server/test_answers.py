"""Answers of generate and chat with the bundled model: their framing, their fields, and what options do to them."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from tests.support.bundled import Question, long_question, questions
from tests.support.server import Server

GREEDY = {"temperature": 0}
METRICS = (
    *("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration"),
    *("eval_count", "eval_duration"),
)
CREATED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z")
PATHS = ("/api/generate", "/api/chat")
SAMPLE = questions()[:: max(1, len(questions()) // 12)]


def body(path: str, prompt: str, **fields: Any) -> dict[str, Any]:
    """The same question to either route."""
    said = (
        {"prompt": prompt} if path == "/api/generate" else {"messages": [{"role": "user", "content": prompt}]}
    )
    options = {**GREEDY, **fields.pop("options", {})}
    return {"model": "tiny", **said, "options": options, **fields}


def text(record: dict[str, Any]) -> str:
    found = record["response"] if "response" in record else record["message"]["content"]
    assert isinstance(found, str)
    return found


def ask(server: Server, path: str, prompt: str, **fields: Any) -> dict[str, Any]:
    answer = server.post(path, body(path, prompt, stream=False, **fields))
    assert answer.status == 200, answer.body
    record = answer.json
    assert isinstance(record, dict)
    return record


def stream(server: Server, path: str, prompt: str, **fields: Any) -> list[dict[str, Any]]:
    answer = server.post(path, body(path, prompt, **fields))
    assert answer.status == 200, answer.body
    return answer.lines


def check_end(record: dict[str, Any], reason: str) -> None:
    assert (record["done"], record["done_reason"]) == (True, reason)
    assert all(type(record[name]) is int and record[name] > 0 for name in METRICS), record
    parts = record["load_duration"] + record["prompt_eval_duration"] + record["eval_duration"]
    assert record["total_duration"] >= record["load_duration"]
    assert record["total_duration"] >= parts * 0.5, "nanoseconds all"


@pytest.mark.parametrize("question", SAMPLE, ids=lambda question: question.question[:30])
@pytest.mark.parametrize("path", PATHS)
def test_the_bundled_model_answers(server: Server, path: str, question: Question) -> None:
    record = ask(server, path, question.question)
    assert text(record) == question.answer
    check_end(record, "stop")


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_is_lines_of_which_the_last_is_done(server: Server, path: str) -> None:
    question = long_question()
    *pieces, last = stream(server, path, question.question)
    assert len(pieces) > 10
    assert all(record["done"] is False and text(record) for record in pieces)
    for record in (*pieces, last):
        assert record["model"] == "tiny"
        assert CREATED.fullmatch(record["created_at"])
    assert "".join(map(text, pieces)) == question.answer
    assert text(last) == ""
    check_end(last, "stop")
    assert not {"done_reason", "context", *METRICS} & {key for record in pieces for key in record}


@pytest.mark.parametrize("path", PATHS)
def test_pieces_come_as_they_are_made(server: Server, path: str) -> None:
    """Not all at once at the end: the first is here while a slot still works."""
    fields = body(path, "Tell me a long story.", options={"num_predict": 2000, "temperature": 1.5, "seed": 1})
    with server.stream(path, **fields) as records:
        assert next(records)["done"] is False


@pytest.mark.parametrize("path", PATHS)
def test_the_whole_object_is_the_joined_stream(server: Server, path: str) -> None:
    question = long_question().question
    ask(server, path, question)  # so that both find the prompt in the cache
    *pieces, last = stream(server, path, question)
    whole = ask(server, path, question)
    assert text(whole) == "".join(map(text, pieces))
    assert set(whole) == set(last)
    for name in ("done_reason", "eval_count", "prompt_eval_count", "context"):
        assert whole.get(name) == last.get(name)


@pytest.mark.parametrize("path", PATHS)
def test_the_model_is_echoed_as_it_was_written(server: Server, path: str) -> None:
    name = "registry.ollama.ai/library/TINY:latest"
    assert server.post(path, body(path, "Hi!") | {"model": name}).lines[0]["model"] == name


@pytest.mark.parametrize("path", PATHS)
def test_prompt_tokens_count_even_when_they_were_cached(server: Server, path: str) -> None:
    first, again = ask(server, path, "Hello!"), ask(server, path, "Hello!")
    assert first["prompt_eval_count"] == again["prompt_eval_count"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("streamed", [True, False])
def test_stop_texts_end_the_answer_and_are_never_sent(server: Server, path: str, streamed: bool) -> None:
    question = long_question()
    stop = question.answer[len(question.answer) // 2 :][:6]
    expected = question.answer.partition(stop)[0]
    options = {"stop": ["", "never said", stop]}
    if streamed:
        *pieces, last = stream(server, path, question.question, options=options)
        assert "".join(map(text, pieces)) == expected
    else:
        last = ask(server, path, question.question, options=options)
        assert text(last) == expected
    assert last["done_reason"] == "stop"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("count", [1, 5])
def test_num_predict_limits_the_tokens(server: Server, path: str, count: int) -> None:
    record = ask(server, path, long_question().question, options={"num_predict": count})
    assert record["eval_count"] == count
    check_end(record, "length")
    assert long_question().answer.startswith(text(record))


@pytest.mark.parametrize("path", PATHS)
def test_num_predict_0_says_nothing(server: Server, path: str) -> None:
    """The engine makes a token even then; the reference goes on without limit."""
    record = ask(server, path, "Hello!", options={"num_predict": 0})
    assert (text(record), record["done_reason"]) == ("", "length")
    assert record["prompt_eval_count"] > 0
    assert "eval_count" not in record
    assert [text(each) for each in stream(server, path, "Hello!", options={"num_predict": 0})] == [""]


@pytest.mark.parametrize("path", PATHS)
def test_a_seed_repeats_itself_and_another_differs(server: Server, path: str) -> None:
    def told(seed: int) -> str:
        wild = {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "num_predict": 24, "seed": seed}
        return text(ask(server, path, "Tell me something.", options=wild))

    assert told(7) == told(7) == told(7)
    assert len({told(seed) for seed in range(4)}) > 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("level", ["", None])
def test_no_format_is_any_text(server: Server, path: str, level: object) -> None:
    assert text(ask(server, path, "Hello!", format=level)) == text(ask(server, path, "Hello!"))


@pytest.mark.parametrize("path", PATHS)
def test_the_format_json_makes_json(server: Server, path: str) -> None:
    for seed in range(3):
        options = {"temperature": 1.0, "seed": seed, "num_predict": 200}
        record = ask(server, path, "Hello!", format="json", options=options)
        if record["done_reason"] == "stop":
            assert isinstance(json.loads(text(record)), dict)
        else:
            assert text(record).lstrip().startswith("{")


@pytest.mark.parametrize("path", PATHS)
def test_a_schema_is_kept(server: Server, path: str) -> None:
    schema = {
        "type": "object",
        "properties": {
            "colour": {"enum": ["red", "blue"]},
            "number": {"type": "integer", "minimum": 0, "maximum": 9},
            "sure": {"type": "boolean"},
        },
        "required": ["colour", "number", "sure"],
        "additionalProperties": False,
    }
    record = ask(server, path, "What is the colour of the sky?", format=schema)
    assert record["done_reason"] == "stop"
    said = json.loads(text(record))
    assert [*said] == ["colour", "number", "sure"]
    assert said["colour"] in ("red", "blue")
    assert type(said["number"]) is int
    assert 0 <= said["number"] <= 9
    assert type(said["sure"]) is bool


def check_logprobs(entries: list[dict[str, Any]], said: str, top: int) -> None:
    assert b"".join(bytes(each["bytes"]) for each in entries).decode() == said
    for each in entries:
        assert each["token"].encode() == bytes(each["bytes"])
        assert each["logprob"] <= 0
        assert math.isfinite(each["logprob"])
        if not top:
            assert set(each) == {"token", "logprob", "bytes"}
            continue
        others = each["top_logprobs"]
        assert len(others) == top
        assert [other["logprob"] for other in others] == sorted((o["logprob"] for o in others), reverse=True)
        assert others[0]["token"] == each["token"], "greedy: the likeliest was taken"
        assert all("top_logprobs" not in other for other in others)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("top", [0, 1, 3, 20])
def test_logprobs_spell_the_answer(server: Server, path: str, top: int) -> None:
    fields: dict[str, Any] = {"logprobs": True, "top_logprobs": top, "options": {"num_predict": 6}}
    whole = ask(server, path, long_question().question, **fields)
    check_logprobs(whole["logprobs"], text(whole), top)
    *pieces, last = stream(server, path, long_question().question, **fields)
    check_logprobs([entry for record in pieces for entry in record["logprobs"]], text(whole), top)
    assert "logprobs" not in last


@pytest.mark.parametrize("path", PATHS)
def test_alternatives_without_logprobs_are_not_sent(server: Server, path: str) -> None:
    assert "logprobs" not in ask(server, path, "Hello!", top_logprobs=3)


def test_a_context_carries_the_conversation_on(server: Server) -> None:
    """Its tokens are the whole text so far, once: a second answer's begins with the first's."""
    first = ask(server, "/api/generate", questions()[0].question)
    second = ask(server, "/api/generate", long_question().question, context=first["context"])
    assert all(type(token) is int for token in first["context"])
    assert len(second["context"]) > len(first["context"]) + second["eval_count"]
    assert second["context"][: len(first["context"])] == first["context"]
    assert second["prompt_eval_count"] >= len(first["context"])


def test_a_raw_prompt_goes_to_the_model_as_it_is(server: Server) -> None:
    question = questions()[0]
    rendered = ask(server, "/api/generate", question.question, _debug_render_only=True)
    prompt = rendered["_debug_info"]["rendered_template"]
    raw = ask(server, "/api/generate", prompt, raw=True)
    assert raw["response"] == question.answer
    assert "context" not in raw
    assert ask(server, "/api/generate", "[as it is]", raw=True, _debug_render_only=True)["_debug_info"] == {
        "rendered_template": "[as it is]"
    }


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("streamed", [True, False])
def test_the_rendered_prompt_instead_of_an_answer(server: Server, path: str, streamed: bool) -> None:
    answer = server.post(path, body(path, "Say <this>.", stream=streamed, _debug_render_only=True))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    record = answer.json
    assert record["done"] is False
    assert "Say <this>." in record["_debug_info"]["rendered_template"]
    assert not set(METRICS) & set(record)
    if path == "/api/chat":
        assert record["message"] == {"role": "", "content": ""}


def test_a_system_prompt_from_the_request_stands_in_front(server: Server) -> None:
    system = "You only speak in rhymes."
    by_field = ask(server, "/api/generate", "Hello!", system=system, _debug_render_only=True)
    messages = [{"role": "SYSTEM", "content": system}, {"role": "user", "content": "Hello!"}]
    by_message = server.post("/api/chat", model="tiny", messages=messages, _debug_render_only=True).json
    shown = by_field["_debug_info"]["rendered_template"]
    assert shown.index(system) < shown.index("Hello!")
    assert by_message["_debug_info"] == by_field["_debug_info"]


def test_a_chat_remembers_what_was_said(server: Server) -> None:
    said = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    rendered = server.post("/api/chat", model="tiny", messages=said, _debug_render_only=True).json
    shown = rendered["_debug_info"]["rendered_template"]
    assert shown.index("one") < shown.index("two") < shown.index("three")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("streamed", [True, False])
def test_an_empty_prompt_loads_and_unloads(server: Server, path: str, streamed: bool) -> None:
    """One object each, also to a client that wants a stream, and no metrics."""
    assert server.post(path, model="tiny", keep_alive=0).json["done_reason"] == "unload"
    loaded = server.post(path, model="tiny", stream=streamed, keep_alive="10m")
    assert (loaded.status, loaded.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    said = {"response": ""} if path == "/api/generate" else {"message": {"role": "assistant", "content": ""}}
    record = loaded.json
    assert CREATED.fullmatch(record.pop("created_at"))
    assert record == {"model": "tiny", **said, "done": True, "done_reason": "load"}
    assert "tiny:latest" in server.ps()
    unloaded = server.post(path, model="tiny", stream=streamed, keep_alive=0).json
    del unloaded["created_at"]
    assert unloaded == {"model": "tiny", **said, "done": True, "done_reason": "unload"}


@pytest.mark.parametrize("path", PATHS)
def test_unloading_what_is_not_loaded_succeeds(server: Server, path: str) -> None:
    for _ in range(2):
        assert server.post(path, model="tiny", keep_alive="0s").json["done_reason"] == "unload"
    assert server.post(path, model="nosuch", keep_alive=0).status == 404


# Contexts.


def too_long(server: Server, path: str, prompt: str, **options: Any) -> tuple[int, int]:
    """The two numbers of the refusal."""
    said = r"the prompt is (\d+) tokens long and exceeds the available context size \((\d+) tokens\)"
    numbers = set()
    for streamed in (True, False):
        answer = server.post(path, body(path, prompt, stream=streamed, options=options))
        assert answer.status == 400, answer.body
        found = re.match(said, answer.error)
        assert found, answer.error
        assert "num_ctx" in answer.error, "what to do about it"
        numbers.add((int(found[1]), int(found[2])))
    (pair,) = numbers
    return pair


@pytest.mark.parametrize("path", PATHS)
def test_a_prompt_longer_than_the_context_names_both_numbers(server: Server, path: str) -> None:
    prompt, context = too_long(server, path, 5000 * "word ")
    assert prompt > 5000
    assert context == server.ps()["tiny:latest"]["context_length"]


@pytest.mark.parametrize("path", PATHS)
def test_a_request_is_held_to_its_own_context_in_a_larger_runner(server: Server, path: str) -> None:
    ask(server, path, "Hello!")
    loaded = server.ps()["tiny:latest"]["context_length"]
    prompt, context = too_long(server, path, 200 * "word ", num_ctx=64)
    assert 200 <= prompt < loaded
    assert context == 64
    assert server.ps()["tiny:latest"]["context_length"] == loaded, "nothing was reloaded"
    assert ask(server, path, 200 * "word ")["prompt_eval_count"] == prompt


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_ends_with_its_own_context(server: Server, path: str) -> None:
    question = long_question()
    needed = ask(server, path, question.question)["prompt_eval_count"]
    record = ask(server, path, question.question, options={"num_ctx": needed + 8})
    assert record["done_reason"] == "length"
    assert 6 <= record["eval_count"] <= 8
    assert question.answer.startswith(text(record))
