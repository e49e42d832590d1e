"""What is different on a terminal: progress, wrapping, the chat, Ctrl-C and Ctrl-D."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import pytest

from tests.cli.fakeserver import Asked, Fake, Reply, as_json, lines
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


def test_what_was_typed_before_comes_back(model: Fake, home: Path) -> None:
    pytest.importorskip("readline")
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
    readline = pytest.importorskip("readline")
    if "libedit" in (readline.__doc__ or "") or readline._READLINE_LIBRARY_VERSION < "8.1":
        pytest.skip("this readline does not know pasting")
    model.replies["POST /api/chat"] = said("Yes.")
    with Terminal("run", "m") as terminal:
        terminal.expect(">>> ")
        terminal.press("\x1b[200~one\ntwo\x1b[201~" + ENTER)
        terminal.expect("Yes.")
        terminal.expect(">>> ")
        terminal.press(CTRL_D)
        assert terminal.status() == 0
    assert model.bodies("/api/chat")[0]["messages"][0]["content"] == "one\ntwo"


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
