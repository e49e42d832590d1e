"""`run` without a terminal: what is sent, and exactly what comes out where."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.cli.conftest import Run, Transcript
from tests.cli.fakeserver import Asked, Fake, Reply, as_json, error, lines

FINAL = {
    "response": "",
    "done": True,
    "done_reason": "stop",
    "total_duration": 4_935_415_292,
    "load_duration": 1_200_000,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 130_079_000,
    "eval_count": 259,
    "eval_duration": 4_232_710_000,
}
STATISTICS = """\
total duration:       4.935415292s
load duration:        1.2ms
prompt eval count:    26 token(s)
prompt eval duration: 130.079ms
prompt eval rate:     199.88 tokens/s
eval count:           259 token(s)
eval duration:        4.23271s
eval rate:            61.19 tokens/s
"""


def pieces(*texts: str) -> list[dict[str, Any]]:
    return [{"response": text, "done": False} for text in texts]


@pytest.fixture
def model(fake: Fake) -> Fake:
    """A model that answers `Hello there.`"""
    fake.replies["POST /api/show"] = as_json({"capabilities": ["completion"]})
    fake.replies["POST /api/generate"] = lines(*pieces("Hello", " there."), FINAL)
    return fake


def test_an_answer_is_followed_by_two_line_ends(tropa: Run, model: Fake) -> None:
    assert tropa("run", "m", "Say", "hello") == Transcript(0, "Hello there.\n\n", "")
    assert model.bodies("/api/show") == [{"model": "m"}]
    assert model.bodies("/api/generate") == [{"model": "m", "prompt": "Say hello", "options": {}}]


def test_what_is_piped_in_comes_first(tropa: Run, model: Fake) -> None:
    tropa("run", "m", "Summarise", "this.", piped="Größe\n".encode())
    tropa("run", "m", piped=b"Hi\n")
    tropa("run", "m", "Hi", piped=b"")
    tropa("run", "m", piped=b"\xff bad")
    prompts = [body["prompt"] for body in model.bodies("/api/generate")]
    assert prompts == ["Größe\n Summarise this.", "Hi", "Hi", "\ufffd bad"]


def test_an_empty_prompt_only_loads(tropa: Run, model: Fake) -> None:
    model.replies["POST /api/generate"] = as_json({"response": "", "done": True, "done_reason": "load"})
    assert tropa("run", "m", "") == Transcript(0, "", "")
    assert tropa("run", "m", piped=b"") == Transcript(0, "", "")


def test_flags_reach_the_request(tropa: Run, model: Fake) -> None:
    tropa("run", "--keepalive", "1h30m", "m", "--format=json", "hi", "--think=high")
    tropa("run", "m", "hi", "--keepalive=-1s", "--format", '{"type":"object"}', "--think")
    tropa("run", "m", "hi", "--think=false", "--format=")
    common = {"model": "m", "prompt": "hi", "options": {}}
    assert model.bodies("/api/generate") == [
        common | {"keep_alive": "1h30m0s", "format": "json", "think": "high"},
        common | {"keep_alive": -1, "format": {"type": "object"}, "think": True},
        common | {"think": False},
    ]


def test_a_thinking_model_thinks_unless_told_not_to(tropa: Run, model: Fake) -> None:
    model.replies["POST /api/show"] = as_json({"capabilities": ["completion", "thinking"]})
    tropa("run", "m", "hi")
    tropa("run", "m", "hi", "--think=false")
    assert [body["think"] for body in model.bodies("/api/generate")] == [True, False]


def test_thinking_is_set_apart_and_can_be_hidden(tropa: Run, model: Fake) -> None:
    thoughts = [{"response": "", "thinking": text, "done": False} for text in ("Hm", "m.")]
    model.replies["POST /api/generate"] = lines(*thoughts, *pieces("Yes."), FINAL)
    assert tropa("run", "m", "hi").out == "Thinking...\nHmm.\n...done thinking.\n\nYes.\n\n"
    assert tropa("run", "m", "hi", "--hidethinking").out == "Yes.\n\n"


def test_statistics_go_to_stderr(tropa: Run, model: Fake) -> None:
    assert tropa("run", "m", "hi", "--verbose") == Transcript(0, "Hello there.\n\n", STATISTICS)
    model.replies["POST /api/generate"] = lines(*pieces("cut off"))
    assert tropa("run", "m", "hi", "--verbose") == Transcript(0, "cut off\n\n", "")


def test_cached_tokens_make_no_rate(tropa: Run, model: Fake) -> None:
    model.replies["POST /api/generate"] = lines(*pieces("Yes."), FINAL | {"cached_tokens": 20})
    shown = STATISTICS.replace("199.88", "46.13") + "prompt cached count:  20 token(s)\n"
    assert tropa("run", "m", "hi", "--verbose").err == shown
    model.replies["POST /api/generate"] = lines(*pieces("Yes."), FINAL | {"cached_tokens": 26})
    assert "prompt eval rate" not in tropa("run", "m", "hi", "--verbose").err


def test_a_call_of_a_tool_is_shown(tropa: Run, model: Fake) -> None:
    call = {"function": {"name": "f", "arguments": {"x": 1}}}
    model.replies["POST /api/generate"] = lines({"response": "", "done": True, "tool_calls": [call]})
    assert tropa("run", "m", "hi").out == (
        "  Model called a non-existent function 'f()' with arguments: {\"x\": 1}\n\n\n"
    )


def test_text_is_raw_when_piped(tropa: Run, model: Fake) -> None:
    text = "word " * 40 + "\u2028\x85 \x1b[31m日本語 \ud83d"
    model.replies["POST /api/generate"] = lines(*pieces(text), FINAL)
    assert tropa("run", "m", "hi").out == text.replace("\ud83d", "?") + "\n\n"


def test_an_unknown_model_is_the_servers_error_with_a_hint(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/show"] = error("model 'nosuch:latest' not found", 404)
    transcript = tropa("run", "nosuch", "hi")
    assert (transcript.status, transcript.out) == (1, "")
    assert transcript.err.splitlines()[0] == "Error: model 'nosuch:latest' not found"
    assert "tropa create" in transcript.err.splitlines()[1]


def test_errors_before_and_inside_the_stream(tropa: Run, model: Fake) -> None:
    busy = "server busy, please try again.  maximum pending requests exceeded"
    model.replies["POST /api/generate"] = error(busy, 503)
    assert tropa("run", "m", "hi") == Transcript(1, "", f"Error: 503 Service Unavailable: {busy}\n")
    model.replies["POST /api/generate"] = lines(*pieces("Hel"), {"error": "the runner died"})
    assert tropa("run", "m", "hi") == Transcript(1, "Hel", "Error: the runner died\n")


def test_a_connection_that_breaks_off_is_an_error(tropa: Run, model: Fake) -> None:
    model.replies["POST /api/generate"] = lines(*pieces("Hel"), cut=True)
    transcript = tropa("run", "m", "hi")
    assert (transcript.status, transcript.out) == (1, "Hel")
    assert transcript.err == "Error: lost the connection to the tropa server: the server closed it\n"


def test_a_server_without_show_still_answers(tropa: Run, model: Fake) -> None:
    del model.replies["POST /api/show"]
    assert tropa("run", "m", "hi").out == "Hello there.\n\n"


def test_embedding_models_print_one_vector(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/show"] = as_json({"capabilities": ["embedding"]})
    fake.replies["POST /api/embed"] = as_json({"embeddings": [[0.25, -1.5e-05]]})
    words = ("run", "m", "some text", "--dimensions", "2", "--truncate=false")
    assert tropa(*words) == Transcript(0, "[0.25,-1.5e-05]\n", "")
    assert fake.bodies("/api/embed") == [
        {"model": "m", "input": "some text", "truncate": False, "dimensions": 2}
    ]
    assert tropa("run", "m", "").err == (
        'Error: embedding models require input text. Usage: tropa run m "your text here"\n'
    )


def test_ctrl_c_stops_the_answer_with_status_0(model: Fake) -> None:
    model.replies["POST /api/generate"] = lines(*pieces("Hello"), hold=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "tropa", "run", "m", "hi"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OLLAMA_HOST": model.address},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.read(5) == b"Hello"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, b"", b"")
    assert model.gone.wait(20), "the server has to learn that nobody listens any more"


def test_a_closed_standard_input_is_an_empty_one(model: Fake) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m tropa run m hi <&-"],
        stdout=subprocess.PIPE,
        env={**os.environ, "OLLAMA_HOST": model.address},
        check=True,
    )
    assert done.stdout == b"Hello there.\n\n"


def test_the_server_is_asked_in_this_order(tropa: Run, model: Fake) -> None:
    tropa("run", "m", "hi")
    assert model.sequence() == ["HEAD /", "POST /api/show", "POST /api/generate"]


def test_replies_may_depend_on_what_was_asked(tropa: Run, model: Fake) -> None:
    def echo(asked: Asked) -> Reply:
        return lines(*pieces(asked.json["prompt"]), FINAL)

    model.replies["POST /api/generate"] = echo
    assert tropa("run", "m", "--", "--not-a-flag").out == "--not-a-flag\n\n"
