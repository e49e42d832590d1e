"""What is different on a terminal: progress, wrapping, the chat, Ctrl-C and Ctrl-D."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import pytest

from tests.cli.fakeserver import Asked, Fake, Reply, as_json, error, lines
from tests.cli.terminal import Terminal

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("pty"), reason="needs pseudo-terminals")

CTRL_C, CTRL_D, ENTER = "\x03", "\x04", "\r"
CLEAR_ALL = "\x1b[J"


@pytest.fixture
def model(fake: Fake, home: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    monkeypatch.setenv("OLLAMA_HOST", fake.address)
    fake.replies["POST /api/show"] = as_json({"capabilities": ["completion"]})
    fake.replies["POST /api/generate"] = as_json({"response": "", "done": True, "done_reason": "load"})
    return fake


def said(*texts: str, hold: bool = False) -> Reply:
    records = [{"message": {"role": "assistant", "content": text}, "done": False} for text in texts]
    return lines(*records, hold=hold)


def test_a_chat(model: Fake, home: Path) -> None:
    model.replies["POST /api/chat"] = said("Hello", " there.")
    with Terminal("run", "m") as terminal:
        terminal.expect(">>> ")
        terminal.press("one" + ENTER)
        terminal.expect("Hello there.\r\n\r\n")
        terminal.expect(">>> ")
        terminal.press_until(CTRL_C, "Use Ctrl + d or /bye to exit.")
        terminal.expect(">>> ")
        terminal.press('"""two' + ENTER)
        terminal.expect("... ")
        terminal.press('lines"""' + ENTER)
        terminal.expect("Hello there.")
        terminal.expect(">>> ")
        terminal.press(CTRL_D)
        assert terminal.status() == 0
    asked = [body["messages"][-1]["content"] for body in model.bodies("/api/chat")]
    assert asked == ["one", "two\nlines"]
    assert (home / ".ollama" / "history").read_text() == 'one\n"""two\nlines"""\n'


def test_ctrl_c_stops_the_answer_and_not_the_chat(model: Fake) -> None:
    model.replies["POST /api/chat"] = said("Endless", hold=True)
    with Terminal("run", "m") as terminal:
        terminal.expect(">>> ")
        terminal.press("one" + ENTER)
        terminal.expect("Endless")
        terminal.press(CTRL_C)
        terminal.expect(">>> ")
        assert model.gone.wait(20)
        model.replies["POST /api/chat"] = said("Done.")
        terminal.press("two" + ENTER)
        terminal.expect("Done.")
        terminal.expect(">>> ")
        terminal.press("/bye" + ENTER)
        assert terminal.status() == 0
    last = [each["content"] for each in model.bodies("/api/chat")[-1]["messages"]]
    assert last == ["one", "two"], "the question stays in the history, the half answer does not"


def test_ctrl_c_in_a_pull_is_no_success(model: Fake) -> None:
    """Else `tropa run m && ...` would go on without the model."""
    model.replies["POST /api/show"] = error("model 'm' not found", 404)
    model.replies["POST /api/pull"] = lines({"status": "pulling manifest"}, hold=True)
    with Terminal("run", "m", "hi") as terminal:
        terminal.expect("pulling manifest")
        terminal.press(CTRL_C)
        assert terminal.status() == 130
    assert model.gone.wait(20)


def test_what_was_typed_before_comes_back(model: Fake, home: Path) -> None:
    model.replies["POST /api/chat"] = said("Yes.")
    (home / ".ollama").mkdir()
    (home / ".ollama" / "history").write_text("an old question\n")
    with Terminal("run", "m") as terminal:
        terminal.expect(">>> ")
        terminal.press("\x1b[A" + ENTER)  # Up
        terminal.expect("Yes.")
        terminal.expect(">>> ")
        terminal.press(CTRL_D)
        assert terminal.status() == 0
    assert model.bodies("/api/chat")[0]["messages"][0]["content"] == "an old question"


def test_pasted_lines_are_one_message(model: Fake) -> None:
    model.replies["POST /api/chat"] = said("Yes.")
    with Terminal("run", "m") as terminal:
        terminal.expect(">>> ")
        terminal.press("\x1b[200~one\ntwo\x1b[201~" + ENTER)
        terminal.expect("Yes.")
        terminal.expect(">>> ")
        terminal.press(CTRL_D)
        assert terminal.status() == 0
    assert model.bodies("/api/chat")[0]["messages"][0]["content"] == "one\ntwo"


def test_a_long_line_goes_on_below_as_it_is_and_tabs_are_blanks(model: Fake) -> None:
    model.replies["POST /api/chat"] = said("Yes.")
    with Terminal("run", "m", columns=30) as terminal:
        terminal.expect(">>> ")
        terminal.press("word " * 10 + ENTER)
        terminal.expect("Yes.")
        terminal.expect(">>> ")
        assert "... " not in terminal.seen
        terminal.press("\x1b[200~/bye\n\tnot yet\x1b[201~" + ENTER)
        terminal.expect("... ")
        terminal.expect("Yes.")
        assert last_said(model) == "/bye\n\tnot yet"
        assert "^I" not in terminal.seen
        terminal.expect(">>> ")
        terminal.press(CTRL_D)
        assert terminal.status() == 0


def last_said(model: Fake) -> object:
    return model.bodies("/api/chat")[-1]["messages"][-1]["content"]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("one\x0atwo", "one\ntwo"),  # Ctrl-J
        ("a\tb", "a        b"),  # Tab
        ("one two\x17three", "one three"),  # Ctrl-W
        ("wo\x01t\x05!", "two!"),  # Ctrl-A, Ctrl-E
        ("abc\x02\x02\x0bd", "ad"),  # Ctrl-B, Ctrl-K
        ("one two\x1bbX", "one Xtwo"),  # Alt-B
        ("red: \x1b[31mx\x1b[0m", "red: x"),  # a text with colours, in a terminal without bracketed paste
        ("ab\x02\x04c", "ac"),  # Ctrl-D where there is something to delete
    ],
)
def test_keys(model: Fake, keys: str, expected: str) -> None:
    model.replies["POST /api/chat"] = said("Yes.")
    with Terminal("run", "m") as terminal:
        terminal.expect(">>> ")
        terminal.press(keys + ENTER)
        terminal.expect("Yes.")
        assert last_said(model) == expected
        terminal.expect(">>> ")
        terminal.press(CTRL_D)
        assert terminal.status() == 0


def test_tab_completes_commands_and_names_of_models(model: Fake) -> None:
    model.replies["GET /api/tags"] = as_json({"models": [{"name": "other:7b"}, {"name": "m:latest"}]})
    with Terminal("run", "m") as terminal:
        terminal.expect(">>> ")
        terminal.press("/sh\t parame\t" + ENTER)
        terminal.expect("Model defined parameters:")
        terminal.expect(">>> ")
        terminal.press("/load ot\t" + ENTER)
        terminal.expect("Loading model 'other:7b'")
        terminal.expect(">>> ")
        terminal.press(CTRL_D)
        assert terminal.status() == 0


def test_ctrl_g_opens_an_editor(model: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "typed elsewhere" >> "$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("OLLAMA_EDITOR", str(editor))
    model.replies["POST /api/chat"] = said("Yes.")
    with Terminal("run", "m") as terminal:
        terminal.expect(">>> ")
        terminal.press("Here: \x07")
        terminal.expect("typed elsewhere")
        terminal.press(ENTER)
        terminal.expect("Yes.")
        assert last_said(model) == "Here: typed elsewhere"
        terminal.expect(">>> ")
        terminal.press(CTRL_D)
        assert terminal.status() == 0


def test_the_hint_in_an_empty_prompt_goes_when_the_chat_does(model: Fake) -> None:
    with Terminal("run", "m") as terminal:
        terminal.expect(">>> ")
        terminal.expect("Send a message (/? for help)")
        terminal.press(CTRL_D)
        assert terminal.status() == 0
        assert terminal.seen.count("Send a message") == 1


def test_a_terminal_without_any_cursor_control(model: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    model.replies["POST /api/chat"] = said("Yes.")
    with Terminal("run", "m", term="dumb") as terminal:
        terminal.expect(">>> ")
        terminal.press("one" + ENTER)
        terminal.expect("Yes.")
        terminal.expect(">>> ")
        terminal.press("/bye" + ENTER)
        assert terminal.status() == 0
    assert last_said(model) == "one"


def test_a_dumb_terminal_sees_no_codes(model: Fake) -> None:
    model.replies["POST /api/generate"] = lines({"response": "word " * 40, "done": True})
    with Terminal("run", "m", "hi", term="dumb") as terminal:
        assert terminal.status() == 0
        assert terminal.seen == "word " * 40 + "\r\n\r\n"


@pytest.mark.parametrize("words", [("hi",), ()])
def test_an_error_does_not_stick_to_half_an_answer(model: Fake, words: tuple[str, ...]) -> None:
    half = {"response": "Hel", "message": {"content": "Hel"}}
    broken = lines(half, {"error": "the runner died"})
    if words:
        model.replies["POST /api/generate"] = broken
    model.replies["POST /api/chat"] = broken
    with Terminal("run", "m", *words) as terminal:
        if not words:
            terminal.expect(">>> ")
            terminal.press("hi" + ENTER)
        terminal.expect("Hel\r\nError: the runner died\r\n")
        if not words:
            terminal.expect(">>> ")
            terminal.press(CTRL_D)
        assert terminal.status() == (1 if words else 0)


def test_no_history_is_kept_if_not_wanted(model: Fake, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_NOHISTORY", "1")
    model.replies["POST /api/chat"] = said("Yes.")
    with Terminal("run", "m") as terminal:
        terminal.expect(">>> ")
        terminal.press("secret" + ENTER)
        terminal.expect("Yes.")
        terminal.expect(">>> ")
        terminal.press(CTRL_D)
        assert terminal.status() == 0
    assert not (home / ".ollama").exists()


def test_a_prompt_argument_makes_one_answer_wrapped_at_words(model: Fake) -> None:
    model.replies["POST /api/generate"] = lines(
        {"response": "The quick brown fox "}, {"response": "jumps \x1b[31mover it.", "done": True}
    )
    with Terminal("run", "m", "hi", columns=25) as terminal:
        assert terminal.status() == 0
        assert "The quick brown fox " in terminal.seen
        assert terminal.seen.count("\n") == 3  # one for the wrapping, two at the end
        assert "\x1b[31m" not in terminal.seen
    with Terminal("run", "m", "hi", "--nowordwrap", columns=25) as terminal:
        assert terminal.status() == 0
        assert "The quick brown fox jumps [31mover it.\r\n\r\n" in terminal.seen


def test_a_long_wait_is_shown_and_leaves_no_trace(model: Fake) -> None:
    seen = threading.Event()

    def slow(asked: Asked) -> Reply:
        assert seen.wait(20)
        return lines({"response": "At last.", "done": True})

    model.replies["POST /api/generate"] = slow
    with Terminal("run", "m", "hi") as terminal:
        terminal.expect("waiting for m ⠋")
        terminal.expect("waiting for m ⠙")
        seen.set()
        terminal.expect(CLEAR_ALL + "At last.")
        assert terminal.status() == 0


def test_a_quick_answer_shows_no_progress(model: Fake) -> None:
    model.replies["POST /api/generate"] = lines({"response": "Yes.", "done": True})
    with Terminal("run", "m", "hi") as terminal:
        assert terminal.status() == 0
        assert terminal.seen == "Yes.\r\n\r\n"


def test_thinking_is_grey(model: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    model.replies["POST /api/generate"] = lines({"thinking": "Hm."}, {"response": "Yes.", "done": True})
    with Terminal("run", "m", "hi") as terminal:
        assert terminal.status() == 0
        assert terminal.seen.startswith(
            "\x1b[38;5;245mThinking...\r\nHm.\r\n...done thinking.\r\n\r\n\x1b[0mYes."
        )
    monkeypatch.setenv("NO_COLOR", "1")
    with Terminal("run", "m", "hi") as terminal:
        assert terminal.status() == 0
        assert terminal.seen.startswith("Thinking...\r\nHm.\r\n...done thinking.\r\n\r\nYes.")


def test_markdown_is_coloured_unless_told_not_to(model: Fake) -> None:
    model.replies["POST /api/generate"] = lines({"response": "a *"}, {"response": "*b** c", "done": True})
    with Terminal("run", "m", "hi") as terminal:
        assert terminal.status() == 0
        assert terminal.seen == "a \x1b[0m\x1b[1m**b**\x1b[0m c\r\n\r\n"
    for raw in (("--raw",), ("--format", "json")):
        with Terminal("run", "m", "hi", *raw) as terminal:
            assert terminal.status() == 0
            assert terminal.seen == "a **b** c\r\n\r\n"


def test_create_shows_its_steps(model: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.gguf").write_bytes(b"GGUF" * 1000)
    (tmp_path / "Modelfile").write_text("FROM w.gguf\n")
    monkeypatch.chdir(tmp_path)
    model.replies["POST /api/create"] = lines(
        {"status": "parsing GGUF"},
        {"status": "quantizing", "total": 4_000_000, "completed": 2_000_000},
        {"status": "quantizing", "total": 4_000_000, "completed": 4_000_000},
        {"status": "success"},
    )
    model.replies |= {"HEAD /api/blobs/*": Reply(status=404), "POST /api/blobs/*": Reply(status=201)}
    with Terminal("create", "m") as terminal:
        assert terminal.status() == 0
        for step in (
            "gathering model components ",
            "copying file sha256:",
            "parsing GGUF ",
            "quantizing 100% ▕█",
        ):
            assert step in terminal.seen
        assert terminal.seen.endswith("success \x1b[K\r\n\x1b[?25h")
