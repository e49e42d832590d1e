"""Images through the real command line on a terminal, a real server and projector: the answer depends on them."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.terminal import Terminal
from tests.support.ear import ear, tone
from tests.support.models import llama
from tests.support.places import short_folder
from tests.support.projector import picture, projector
from tests.support.server import Server, serving

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("pty"), reason="needs pseudo-terminals")
WIDTH = 128
ENTER, CTRL_D = "\r", "\x04"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """With the models `eye`, `ear` and `blind`: the same random weights, with a projector and without."""
    with short_folder() as folder, serving(folder, TROPA_STATE=str(folder / "state")) as server:
        weights = llama(folder / "m.gguf", width=WIDTH, seed=3)
        projectors = {
            "eye": [projector(folder / "eye.gguf", WIDTH)],
            "ear": [ear(folder / "ear.gguf", WIDTH)],
            "blind": [],
        }
        parameters = {"temperature": 0, "num_predict": 12}
        for name, more in projectors.items():
            files = {each.name: server.upload(each) for each in (weights, *more)}
            answer = server.post("/api/create", model=name, files=files, parameters=parameters)
            assert answer.lines[-1] == {"status": "success"}, answer.lines
        yield server


@pytest.fixture
def here(server: Server, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "red one.png").write_bytes(base64.b64decode(picture()))
    (tmp_path / "blue.png").write_bytes(base64.b64decode(picture(0, 0, 250)))
    (tmp_path / "a note.wav").write_bytes(tone())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{server.port}")
    return tmp_path


def asked(*words: str) -> tuple[str, int]:
    """The answer of `tropa run WORDS` on a terminal, and how many tokens the prompt had."""
    with Terminal("run", "--verbose", *words) as terminal:
        assert terminal.status() == 0, terminal.seen
        answer, _, statistics = terminal.seen.partition("\r\n\r\n")
        return answer, int(statistics.partition("prompt eval count:")[2].split()[0])


@pytest.mark.usefixtures("here")
def test_the_answer_depends_on_the_image() -> None:
    red, with_red = asked("eye", "what is", "./red one.png")
    blue, with_blue = asked("eye", "what is './blue.png'")
    nothing, without = asked("eye", "what is")
    assert red.startswith("Added image './red one.png'\r\n")
    assert blue.startswith("Added image './blue.png'\r\n")
    answers = {answer.rpartition("\r\n")[2] for answer in (red, blue, nothing)}
    assert len(answers) == 3, answers
    assert with_red == with_blue > without
    assert asked("eye", r"what is ./red\ one.png")[1] == with_red


@pytest.mark.usefixtures("here")
def test_a_model_without_a_projector_says_so_and_answers() -> None:
    answer, with_text = asked("blind", "what is ./blue.png")
    assert answer.startswith("model \"blind\" takes no images, left in the text: './blue.png'\r\n")
    assert with_text > asked("blind", "what is")[1]


@pytest.mark.usefixtures("here")
def test_a_sound_is_heard() -> None:
    answer, with_sound = asked("ear", "what is './a note.wav'?")
    assert answer.startswith("Added audio './a note.wav'\r\n")
    assert with_sound > asked("ear", "what is ?")[1]
    answer, _ = asked("ear", "what is ./blue.png?")
    assert answer.startswith("model \"ear\" takes no images, left in the text: './blue.png'\r\n")


def test_a_chat_about_a_picture(here: Path) -> None:
    """Dropped on the terminal, so pasted and quoted; then asked about again."""
    with Terminal("run", "eye", "--verbose") as terminal:
        counts = []
        for message in (
            f"\x1b[200~'{here}/red one.png' \x1b[201~what is it?",
            "and now?",
            f"{here}/blue.png",
        ):
            terminal.expect(">>> ")
            terminal.press(message + ENTER)
            if ".png" in message:
                terminal.expect("Added image '")
            terminal.expect("prompt eval count:")
            terminal.expect("\r\n")
            counts.append(int(terminal.seen.rpartition("prompt eval count:")[2].split()[0]))
        terminal.expect(">>> ")
        terminal.press("/nix.png" + ENTER)
        terminal.expect("Unknown command '/nix.png'. Type /? for help")
        terminal.expect(">>> ")
        terminal.press("what is ./red\t" + ENTER)
        terminal.expect("Added image './red one.png'")
        terminal.expect("prompt eval count:")
        terminal.expect(">>> ")
        terminal.press(CTRL_D)
        assert terminal.status() == 0
    with_image, without = asked("eye", "what is it?", "./blue.png")[1], asked("eye", "what is it?")[1]
    assert counts[0] == with_image > without
    assert counts[1] > counts[0], "the image is sent again with every turn"
    assert counts[2] - counts[1] >= with_image - without
