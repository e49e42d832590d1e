"""Images and sounds in prompts: which paths are found in a text, what is sent, and what the user is told."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.conftest import Run
from tests.cli.fakeserver import Fake, as_json, lines
from tests.cli.test_chat import play, reply
from tests.support.projector import picture
from tropa.cli import media
from tropa.cli.chat.paths import paths
from tropa.cli.chat.state import Chat
from tropa.cli.media import AUDIO, IMAGE, MediaError, Prompt, attach, mentions

BOTH = frozenset({IMAGE, AUDIO})
PNG = base64.b64decode(picture())
JPEG = b"\xff\xd8\xff\xe0 and so on"
WEBP = b"RIFF\x04\0\0\0WEBPVP8 "
WAV = b"RIFF\x04\0\0\0WAVEfmt "
MP3 = b"\xff\xfb\x90\x64 and so on"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:
    """The current folder, with files in it and at home."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, data in {
        "a.png": PNG,
        "b c (1).JPG": JPEG,
        "it's.webp": WEBP,
        "été.jpeg": JPEG,
        "s.wav": WAV,
        "m.mp3": MP3,
        "a.png.bak": b"",
        "notes.png": b"no picture",
        "empty.png": b"",
        "really a sound.png": WAV,
    }.items():
        (folder / name).write_bytes(data)
    (home / "at home.png").write_bytes(PNG)
    monkeypatch.chdir(folder)
    return folder


def named(text: str) -> list[str]:
    return [mention.path for mention in mentions(text) if mention.there]


@pytest.mark.parametrize(
    ("text", "rest", "found"),
    [
        ("what is in ./a.png?", "what is in ?", ["./a.png"]),
        ("./a.png what is it", "what is it", ["./a.png"]),
        ("./a.png", "", ["./a.png"]),
        ("(see ./a.png)", "(see )", ["./a.png"]),
        ("./a.png. Then", ". Then", ["./a.png"]),
        ("photo:./a.png", "photo:", ["./a.png"]),
        ("ist das ./été.jpeg?", "ist das ?", ["./été.jpeg"]),
        ("看./a.png是什么", "看是什么", ["./a.png"]),
        ("'./a.png' is it", "is it", ["./a.png"]),
        ('in "./a.png" too', "in too", ["./a.png"]),
        ("in “./a.png”", "in", ["./a.png"]),
        (r"./b\ c\ \(1\).JPG hm", "hm", ["./b c (1).JPG"]),
        ("./b c (1).JPG hm", "hm", ["./b c (1).JPG"]),
        ("'./b c (1).JPG' hm", "hm", ["./b c (1).JPG"]),
        (r"'./it'\''s.webp' hm", "hm", ["./it's.webp"]),
        (r"./it\'s.webp hm", "hm", ["./it's.webp"]),
        ("./it's.webp hm", "hm", ["./it's.webp"]),
        ("./a.png ./s.wav both", "both", ["./a.png", "./s.wav"]),
        ("./a.png and\n./s.wav", "and", ["./a.png", "./s.wav"]),
        ("what is said in ./m.mp3?", "what is said in ?", ["./m.mp3"]),
        ("one ./a.png two ./a.png", "one two", ["./a.png", "./a.png"]),
        ("../pictures/a.png up", "up", ["../pictures/a.png"]),
        ("use /dev and ./a.png", "use /dev and", ["./a.png"]),
        ("./nix.png and ./a.png", "./nix.png and", ["./a.png"]),
        ("a.png", "a.png", []),
        ("./a.png.bak", "./a.png.bak", []),
        ("./a.pngs", "./a.pngs", []),
        ("pictures/a.png", "pictures/a.png", []),
        ("x./a.png", "x./a.png", []),
        ("https://a.b/./a.png", "https://a.b/./a.png", []),
        ("./", "./", []),
        ("  no path\n", "  no path\n", []),
    ],
)
@pytest.mark.usefixtures("here")
def test_paths_in_a_text(text: str, rest: str, found: list[str]) -> None:
    assert named(text) == found
    prompt = attach(text, BOTH, "m")
    assert prompt.text == rest
    assert len(prompt.images) == len(found)


def test_whole_paths_home_and_addresses(here: Path, home: Path) -> None:
    assert named(f"{here}/a.png") == [f"{here}/a.png"]
    assert named("~/at home.png") == [f"{home}/at home.png"]
    assert named("'~/at home.png'") == [f"{home}/at home.png"]
    assert named("~nobody-of-that-name/a.png") == []
    for address in (f"file://{quote(str(here))}/b%20c%20(1).JPG", f"file://localhost{here}/b%20c%20(1).JPG"):
        prompt = attach(f"see {address} there", BOTH, "m")
        assert prompt == Prompt("see there", prompt.images, (f"Added image '{here}/b c (1).JPG'",))


@pytest.mark.usefixtures("here")
def test_what_is_sent_and_said() -> None:
    prompt = attach("is ./a.png like ./s.wav, ./été.jpeg or './it's.webp'?", BOTH, "m")
    assert [base64.b64decode(image) for image in prompt.images] == [PNG, WAV, JPEG, WEBP]
    assert prompt.text == "is like , or ?"
    assert prompt.notes == (
        "Added image './a.png'",
        "Added audio './s.wav'",
        "Added image './été.jpeg'",
        "Added image './it's.webp'",
    )


@pytest.mark.usefixtures("here")
def test_what_stays_text_is_said() -> None:
    text = "./a.png and ./s.wav"
    assert attach(text, {IMAGE}, "m") == Prompt(
        "and ./s.wav",
        (picture(),),
        ("Added image './a.png'", "model \"m\" takes no audio, left in the text: './s.wav'"),
    )
    assert attach(text, (), "m").notes == (
        "model \"m\" takes no images, left in the text: './a.png'",
        "model \"m\" takes no audio, left in the text: './s.wav'",
    )
    missing = "./1.png ./2.png ./1.png /3.png './4.png' /5.png"
    assert attach(missing, BOTH, "m") == Prompt(
        missing, (), ("not found, left in the text: './1.png', './2.png', '/3.png' and 2 more",)
    )
    assert attach("Draw a.png, nix.png", {IMAGE}, "m").notes == (
        "left in the text: 'a.png' (to send a file of this folder, write ./a.png)",
    )
    for silent in ("Draw a.png", "https://host/logo.png", "some/logo.png", "I/O of /dev or x.png", "./1.png"):
        assert attach(silent, (), "m") == Prompt(silent)
    for silent in ("https://host/logo.png", "some/logo.png", "I/O of /dev or x.png"):
        assert attach(silent, BOTH, "m") == Prompt(silent)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("text", "takes", "message"),
    [
        (
            "./notes.png",
            BOTH,
            "invalid file type: './notes.png' is no JPEG, PNG, WebP, WAV, MP3 or FLAC file",
        ),
        ("./empty.png", BOTH, "invalid file type: './empty.png' is an empty file"),
        ("'./really a sound.png'", {IMAGE}, "'./really a sound.png' is a sound: model \"m\" takes no audio"),
    ],
)
def test_a_file_that_is_something_else(text: str, takes: frozenset[str], message: str) -> None:
    with pytest.raises(MediaError) as caught:
        attach(text, takes, "m")
    assert str(caught.value) == message


def test_a_file_that_may_not_be_sent(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (here / "huge.png").open("wb") as file:
        file.write(PNG)
        file.truncate(media.LARGEST + 1)  # takes no room on the disk
    with pytest.raises(MediaError, match=r"'\./huge\.png' is too large: at most 100 MB can be sent"):
        attach("./huge.png", BOTH, "m")

    def refuse(*_: object) -> None:  # a superuser, as tests often are, may read everything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(MediaError, match=r"cannot read '\./a\.png': permission denied"):
        attach("./a.png", BOTH, "m")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("piece", ["/tmp/x.png ", "<p>a</p>", '<p><img src="/x.png"></p>', "a/ /b \\ "])
def test_a_long_text_takes_no_time(piece: str) -> None:
    text = piece * (300_000 // len(piece)) + "./nix.png"
    started = time.process_time()
    assert attach(text, BOTH, "m").text == text
    assert time.process_time() - started < 5  # a scan to the end from each beginning would take minutes


@given(st.text(alphabet="./~\\ '\"apngé\n:x(\0", max_size=60))
def test_no_text_is_changed_where_no_file_is(text: str) -> None:
    assert attach(text, BOTH, "m").text == text


@pytest.fixture
def seeing(fake: Fake) -> Fake:
    fake.replies["POST /api/show"] = as_json({"capabilities": ["completion", "vision"]})
    fake.replies["POST /api/generate"] = lines({"response": "Red.", "done": True})
    fake.replies["POST /api/chat"] = reply("Red.")
    return fake


@pytest.mark.usefixtures("here")
def test_run_sends_what_the_prompt_names(tropa: Run, seeing: Fake) -> None:
    for words, piped in ((["what", "is", "./b c (1).JPG"], None), ([], b"what is ./b c (1).JPG\n")):
        shown = tropa("run", "m", *words, piped=piped)
        assert (shown.status, shown.out, shown.err) == (0, "Red.\n\n", "Added image './b c (1).JPG'\n")
    body = {"model": "m", "prompt": "what is", "options": {}, "images": [base64.b64encode(JPEG).decode()]}
    assert seeing.bodies("/api/generate") == [body, body]


def test_an_image_may_be_piped_in(tropa: Run, seeing: Fake) -> None:
    shown = tropa("run", "m", "What", "is", "it?", piped=PNG)
    assert (shown.status, shown.out, shown.err) == (0, "Red.\n\n", "Added image from standard input\n")
    assert tropa("run", "m", piped=PNG).out == "Red.\n\n"
    body = {"model": "m", "options": {}, "images": [picture()]}
    assert seeing.bodies("/api/generate") == [body | {"prompt": "What is it?"}, body | {"prompt": ""}]
    for text in (b"ID3 tags, fLaC files", b"fLaC and more", b"RIFF, in short", b"\xff\xfeh\0i\0"):
        tropa("run", "m", piped=text)
        assert seeing.bodies("/api/generate")[-1]["prompt"] == text.decode("utf-8", "replace")


@pytest.mark.parametrize("capability", ["completion", "embedding"])
def test_an_image_for_who_does_not_see_is_no_text(tropa: Run, seeing: Fake, capability: str) -> None:
    seeing.replies["POST /api/show"] = as_json({"capabilities": [capability]})
    shown = tropa("run", "m", "What?", piped=PNG)
    assert (shown.status, shown.out) == (1, "")
    assert shown.err == 'Error: standard input is an image: model "m" takes no images\n'


@pytest.mark.usefixtures("here")
def test_run_asks_nothing_if_a_file_cannot_be_sent(tropa: Run, seeing: Fake) -> None:
    shown = tropa("run", "m", "./notes.png")
    assert (shown.status, shown.out) == (1, "")
    assert (
        shown.err == "Error: invalid file type: './notes.png' is no JPEG, PNG, WebP, WAV, MP3 or FLAC file\n"
    )
    assert seeing.bodies("/api/generate") == []


@pytest.mark.usefixtures("here")
def test_a_model_that_does_not_see_gets_the_text(tropa: Run, seeing: Fake) -> None:
    seeing.replies["POST /api/show"] = as_json({"capabilities": ["completion"]})
    shown = tropa("run", "m", "what is ./a.png")
    assert (shown.out, shown.err) == (
        "Red.\n\n",
        "model \"m\" takes no images, left in the text: './a.png'\n",
    )
    assert seeing.bodies("/api/generate")[0] == {"model": "m", "prompt": "what is ./a.png", "options": {}}


SEEING = Chat("m", takes=frozenset({IMAGE}))


def test_images_stay_in_the_history(here: Path, seeing: Fake) -> None:
    out = play(seeing, "what is ./a.png?", "and now?", "/bye", chat=SEEING)
    assert out[0] == "(aside) Added image './a.png'\n"
    first = {"role": "user", "content": "what is ?", "images": [picture()]}
    answer = {"role": "assistant", "content": "Red."}
    assert [body["messages"] for body in seeing.bodies("/api/chat")] == [
        [first],
        [first, answer, {"role": "user", "content": "and now?"}],
    ]


def test_a_path_at_the_start_of_a_line_is_no_command(here: Path, seeing: Fake) -> None:
    (here / "list").mkdir()
    (here / "list" / "x.png").write_bytes(PNG)
    lines = [f"{here}/a.png", f"{here}/list/x.png what?", f"{here}/nix.png what?", "/bye"]
    out = play(seeing, *lines, chat=SEEING)
    assert [body["messages"][-1]["content"] for body in seeing.bodies("/api/chat")] == ["", "what?"]
    assert out[-2:] == [
        f"(aside) no such file: '{here}/nix.png'\n",
        f"Unknown command '{here}/nix.png'. Type /? for help\n",
    ]


def test_a_path_at_the_start_of_a_line_for_a_model_that_does_not_see(here: Path, seeing: Fake) -> None:
    out = play(seeing, f"{here}/a.png what?", "/bye")
    assert out == [
        f"(aside) model \"m\" takes no images: '{here}/a.png'\n",
        f"Unknown command '{here}/a.png'. Type /? for help\n",
    ]


@pytest.mark.usefixtures("here")
def test_a_file_that_cannot_be_sent_costs_only_its_turn(seeing: Fake) -> None:
    out = play(seeing, "./notes.png", "Hi", "/bye", chat=SEEING)
    assert out[0].startswith("(aside) Error: invalid file type: ")
    assert [body["messages"] for body in seeing.bodies("/api/chat")] == [[{"role": "user", "content": "Hi"}]]


@pytest.mark.usefixtures("here")
def test_the_files_of_several_lines(seeing: Fake) -> None:
    play(seeing, '"""one ./a.png', 'two "./a.png"', '"""', "/bye", chat=SEEING)
    message = seeing.bodies("/api/chat")[0]["messages"][0]
    assert (message["content"], len(message["images"])) == ("one \ntwo", 2)


@pytest.mark.usefixtures("here")
def test_a_saved_chat_has_no_images(seeing: Fake) -> None:
    seeing.replies["POST /api/create"] = lines({"status": "success"})
    out = play(seeing, "what is ./a.png?", "/save mine", "/bye", chat=SEEING)
    assert out[-2:] == [
        "Created new model 'mine'\n",
        "(aside) images and audio of this chat are not part of it\n",
    ]
    assert seeing.bodies("/api/create")[0]["messages"][0] == {"role": "user", "content": "what is ?"}


def test_tab_in_a_path(here: Path, home: Path) -> None:
    (here / "folder").mkdir()
    (here / ".hidden").mkdir()
    assert [*paths("./")] == [
        *(r"./a.png", r"./b\ c\ \(1\).JPG", "./empty.png", "./folder/", r"./it\'s.webp", "./m.mp3"),
        "./notes.png",
        *(r"./really\ a\ sound.png", "./s.wav", "./été.jpeg"),
    ]
    assert [*paths(r"./b\ c")] == [r"./b\ c\ \(1\).JPG"]
    assert [*paths("./.h")] == ["./.hidden/"]
    assert [*paths("~/at")] == [r"~/at\ home.png"]
    assert [*paths(f"{here}/a")] == [f"{here}/a.png"]
    assert [*paths("./nowhere/")] == [*paths("~nobody-of-that-name/")] == []
    assert named(next(iter(paths("~/at")))) == [f"{home}/at home.png"], "what Tab writes is found again"
