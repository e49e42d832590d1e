"""The chat prompt as a pure function, then whole sessions against a server."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.conftest import Run
from tests.cli.fakeserver import Asked, Fake, Reply, as_json, error, lines
from tropa.cli.chat import history, texts
from tropa.cli.chat.session import Session, about, shown
from tropa.cli.chat.state import Ask, Bye, Chat, Effect, ListModels, Load, Save, Show, Tell, Turn
from tropa.cli.chat.step import prompt, step
from tropa.cli.chat.words import completions
from tropa.client.client import Client
from tropa.settings import Host

EMPTY = Chat("m")


def after(*lines: str, chat: Chat = EMPTY) -> tuple[Chat, Effect]:
    effect: Effect = None
    for line in lines:
        chat, effect = step(chat, line)
    return chat, effect


@pytest.mark.parametrize(
    ("line", "effect"),
    [
        ("", None),
        ("   ", None),
        ("hello", Ask()),
        ("/bye", Bye()),
        ("/byebye", Bye()),
        ("/exit", Bye()),
        ("/clear", Tell("Cleared session context\n")),
        ("/list", ListModels()),
        ("/list ll", ListModels("ll")),
        ("/load other", Load("other")),
        ("/load", Tell("Usage:\n  /load <modelname>\n")),
        ("/save a b", Tell("Usage:\n  /save <modelname>\n")),
        ("/save mine", Save("mine")),
        ("/show info", Show("info")),
        ("/show", Tell(texts.SHOW, aside=True)),
        ("/show me", Tell("Unknown command '/show me'. Type /? for help\n")),
        ("/?", Tell(texts.GENERAL, aside=True)),
        ("/help set", Tell(texts.SET, aside=True)),
        ("/? shortcuts", Tell(texts.SHORTCUTS, aside=True)),
        ("/other thing", Tell("Unknown command '/other'. Type /? for help\n")),
        ("/set", Tell(texts.SET, aside=True)),
        ("/set x", Tell("Unknown command '/set x'. Type /? for help\n")),
        ("/set history", None),
        ("/set verbose", Tell("Set 'verbose' mode.\n")),
        ("/set quiet", Tell("Set 'quiet' mode.\n")),
        ("/set wordwrap", Tell("Set 'wordwrap' mode.\n")),
        ("/set nowordwrap", Tell("Set 'nowordwrap' mode.\n")),
        ("/set format json", Tell("Set format to 'json' mode.\n")),
        ("/set noformat", Tell("Disabled format.\n")),
        (
            "/set format xml",
            Tell("Invalid or missing format. For 'json' mode use '/set format json'\n"),
        ),
        ("/set nothink", Tell("Set 'nothink' mode.\n")),
        (
            "/set think",
            Tell("Set 'think' mode.\n", warning='warning: model "m" does not support thinking output'),
        ),
        ("/set parameter", Tell(texts.PARAMETERS, aside=True)),
        ("/set parameter seed", Tell(texts.PARAMETERS, aside=True)),
        ("/set parameter seed 7", Tell("Set parameter 'seed' to '7'\n")),
        ("/set parameter stop a b", Tell("Set parameter 'stop' to 'a, b'\n")),
        ("/set parameter seed x", Tell('Couldn\'t set parameter: "invalid int value [x]"\n')),
        ("/set parameter sed 1", Tell("Couldn't set parameter: \"unknown parameter 'sed'\"\n")),
        ("/set system Be brief.", Tell("Set system message.\n")),
    ],
)
def test_one_line(line: str, effect: Effect) -> None:
    assert step(EMPTY, line)[1] == effect


def test_pasted_lines_are_no_command() -> None:
    for pasted in ("/bye\nand so on", "/usr/lib/x: no such file\nat all"):
        chat, effect = step(EMPTY, pasted)
        assert (chat.turns, effect) == ((Turn("user", pasted),), Ask())
    assert step(EMPTY, "/set system Be\nbrief.")[0].system == "Be\nbrief."


def test_line_ends_after_a_message_are_no_part_of_it() -> None:
    """What is sent while an answer still comes waits in the prompt with its line end."""
    assert step(EMPTY, "next\n")[0].turns == (Turn("user", "next"),)
    assert step(EMPTY, "/bye\n")[1] == Bye()


def test_help_tells_of_files_where_the_model_takes_some() -> None:
    assert step(Chat("m", takes=frozenset({"image"})), "/?")[1] == Tell(
        texts.GENERAL + texts.FILES, aside=True
    )


def test_what_is_set_goes_into_the_request() -> None:
    chat, _ = after(
        "/set parameter temperature 0.5",
        "/set parameter stop a b",
        "/set format json",
        "/set think high",
        "/set system  Be  brief. ",
        "Hi",
        chat=Chat("m", can_think=True, keep_alive="5m0s"),
    )
    assert chat.request() == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be  brief. "}, {"role": "user", "content": "Hi"}],
        "options": {"temperature": 0.5, "stop": ["a", "b"]},
        "format": "json",
        "think": "high",
        "keep_alive": "5m0s",
    }


def test_several_lines_are_one_message() -> None:
    chat, effect = after('"""one', "  two", "", 'three"""')
    assert (chat.turns, effect, chat.open) == ((Turn("user", "one\n  two\n\nthree"),), Ask(), None)
    chat, effect = after('"""all at once"""')
    assert chat.turns == (Turn("user", "all at once"),)
    chat, effect = after('"""', "/bye", '"""')
    assert (chat.turns, effect) == ((Turn("user", "\n/bye\n"),), Ask())
    chat, effect = after('""""""')
    assert (chat.turns, effect) == ((), None)


def test_the_prompt_shows_that_more_is_wanted() -> None:
    chat, _ = after('"""one')
    assert (prompt(EMPTY), prompt(chat), prompt(chat.interrupted())) == (">>> ", "... ", ">>> ")


def test_a_system_message_replaces_only_one_that_is_last() -> None:
    chat, _ = after("/set system one", "/set system two")
    assert chat.turns == (Turn("system", "two"),)
    chat, _ = after("Hi", "/set system three", chat=chat)
    assert [turn.content for turn in chat.turns] == ["two", "Hi", "three"]
    chat, effect = after('/set system """four', 'five"""', chat=chat)
    assert [turn.content for turn in chat.turns] == ["two", "Hi", "three", "four\nfive"]
    assert effect == Tell("Set system message.\n")
    chat, _ = after('/set system """six"""', chat=chat)
    assert chat.turns[-1] == Turn("system", "six")
    chat, _ = after("/clear", chat=chat)
    assert chat.turns == (Turn("system", "six"),)


def test_a_chat_becomes_a_model() -> None:
    chat = Chat("base", stored=(Turn("user", "a"), Turn("assistant", "b")))
    chat, _ = after("/set system s", "/set parameter seed 7", "c", chat=chat)
    chat = chat.said(Turn("assistant", "d", "thoughts"))
    assert chat.saved_as("mine") == {
        "model": "mine",
        "from": "base",
        "system": "s",
        "parameters": {"seed": 7},
        "messages": [
            {"role": role, "content": text}
            for role, text in (("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"))
        ],
    }
    assert EMPTY.saved_as("mine") == {"model": "mine", "from": "m"}


@given(st.lists(st.text(max_size=20) | st.sampled_from(["/set ", '"""', "/clear", "/set think"]), max_size=8))
def test_no_line_breaks_the_prompt(lines: list[str]) -> None:
    chat, _ = after(*lines)
    assert all(turn.role in {"user", "system"} for turn in chat.turns)


def test_show_falls_back_to_saying_that_there_is_nothing() -> None:
    assert shown("license", {}, EMPTY) == "No license was specified for this model.\n"
    assert shown("system", {}, EMPTY) == "No system message was specified for this model.\n"
    assert shown("template", {}, EMPTY) == "No prompt template was specified for this model.\n"
    assert shown("modelfile", {"modelfile": "FROM x"}, EMPTY) == "FROM x\n"
    assert shown("parameters", {}, EMPTY) == (
        "Model defined parameters:\n  No additional parameters were specified for this model.\n\n"
    )


def test_show_tells_what_was_set_here() -> None:
    chat, _ = after("/set parameter stop a b", "/set parameter use_mmap true", "/set system mine")
    chat, _ = after("/set parameter temperature 0", "/set parameter top_p 0.9", chat=chat)
    assert shown("system", {"system": "stored"}, chat) == "mine\n"
    assert shown("parameters", {"parameters": "seed    1"}, chat) == (
        "Model defined parameters:\n  seed    1\n\nUser defined parameters:\n"
        f"  {'stop':<30} [a b]\n  {'temperature':<30} 0\n  {'top_p':<30} 0.9\n  {'use_mmap':<30} true\n\n"
    )


class Script:
    """Plays the user: lines, or the exceptions that keys raise."""

    def __init__(self, *said: str | type[BaseException]) -> None:
        self._said = list(said)
        self.out: list[str] = []
        self.prompts: list[str] = []

    def read(self, prompt: str, *, remember: bool) -> str:
        self.prompts.append(prompt)
        line = self._said.pop(0) if self._said else EOFError
        if isinstance(line, str):
            return line
        raise line

    def tell(self, text: str, *, aside: bool = False) -> None:
        self.out.append(f"(aside) {text}" if aside else text)


def reply(*texts: str, **final: Any) -> Reply:
    records = [{"message": {"role": "assistant", "content": text}, "done": False} for text in texts]
    return lines(*records, {"message": {"role": "assistant", "content": ""}, "done": True} | final)


@pytest.fixture
def model(fake: Fake) -> Fake:
    fake.replies["POST /api/generate"] = as_json({"done": True, "done_reason": "load"})
    fake.replies["POST /api/chat"] = reply("Hi", " there")
    return fake


def play(fake: Fake, *said: str | type[BaseException], chat: Chat = EMPTY) -> list[str]:
    script = Script(*said)
    Session(Client(Host("127.0.0.1", fake.port)), script, chat).run()
    return script.out


def messages(fake: Fake) -> Iterable[list[str]]:
    return [[each["content"] for each in body["messages"]] for body in fake.bodies("/api/chat")]


def test_each_turn_sends_the_whole_history(model: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert play(model, "one", "two", "/bye") == ["\n\n", "\n\n"]
    assert messages(model) == [["one"], ["one", "Hi there", "two"]]
    assert capsys.readouterr().out == "Hi thereHi there"
    assert model.sequence()[0] == "POST /api/generate"
    assert model.bodies("/api/generate") == [{"model": "m", "options": {}}]


def test_ctrl_d_leaves_and_ctrl_c_drops_what_was_typed(model: Fake) -> None:
    out = play(model, '"""half', KeyboardInterrupt, "whole", EOFError)
    assert out == ["\nUse Ctrl + d or /bye to exit.\n", "\n\n", "\n"]
    assert messages(model) == [["whole"]]


def test_ctrl_c_pressed_twice_does_not_leave(model: Fake) -> None:
    class Impatient(Script):
        """Presses Ctrl-C when the first text comes, and again when that is seen to."""

        def tell(self, text: str, *, aside: bool = False) -> None:
            super().tell(text)
            if len(self.out) <= 2:
                raise KeyboardInterrupt

    script = Impatient("/?", "one", "/bye")
    Session(Client(Host("127.0.0.1", model.port)), script, EMPTY).run()
    assert script.out == [texts.GENERAL, "\n", "\n", "\n\n"]
    assert messages(model) == [["one"]]


def test_an_error_costs_only_its_turn(model: Fake) -> None:
    def busy_once(asked: Asked) -> Reply:
        return error("server busy", 503) if len(model.bodies("/api/chat")) == 1 else reply("ok")

    model.replies["POST /api/chat"] = busy_once
    assert play(model, "one", "two", "/bye") == [
        "(aside) Error: 503 Service Unavailable: server busy\n",
        "\n\n",
    ]
    assert messages(model) == [["one"], ["two"]]


def test_a_model_that_cannot_be_loaded_ends_the_session(tropa: Run, fake: Fake) -> None:
    fake.replies["POST /api/generate"] = error("no memory", 500)
    with pytest.raises(Exception, match="no memory"):
        play(fake, "one")


def test_statistics_after_each_answer(model: Fake) -> None:
    model.replies["POST /api/chat"] = reply("Hi", eval_count=3)
    assert play(model, "/set verbose", "one", "/bye") == [
        "Set 'verbose' mode.\n",
        "\n\n",
        "(aside) eval count:           3 token(s)\n",
    ]


def test_another_model_can_be_loaded(model: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    def show(asked: Asked) -> Reply:
        if asked.json["model"] != "other":
            return error("model 'nosuch:latest' not found", 404)
        stored = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
        return as_json({"capabilities": ["completion", "thinking"], "messages": stored})

    model.replies["POST /api/show"] = show
    out = play(model, "one", "/load nosuch", "/load other", "two", "/bye")
    assert out == [
        "\n\n",
        "Couldn't find model 'nosuch'\n",
        "Loading model 'other'\n",
        ">>> Q\n",
        "A\n\n",
        "\n\n",
    ]
    last = model.bodies("/api/chat")[-1]
    assert (last["model"], last["think"]) == ("other", True)
    assert [each["content"] for each in last["messages"]] == ["two"]


def test_a_session_is_saved(model: Fake) -> None:
    model.replies["POST /api/create"] = lines({"status": "success"})
    out = play(model, "/set system s", "/save mine", "/save a:b:c", "/bye")
    assert out[1:] == ["Created new model 'mine'\n", "error: The model name 'a:b:c' is invalid\n"]
    assert model.bodies("/api/create") == [{"model": "mine", "from": "m", "system": "s"}]


def test_lists_and_shows(model: Fake) -> None:
    model.replies["GET /api/tags"] = as_json({"models": []})
    model.replies["POST /api/show"] = as_json({"modelfile": "FROM x", "system": "stored"})
    out = play(model, "/list", "/show system", "/set parameter seed 7", "/show modelfile", "/bye")
    assert out[:2] == ["NAME    ID    SIZE    MODIFIED \n", "stored\n"]
    assert out[3] == "FROM x\n"
    assert model.bodies("/api/show")[-1] == {"model": "m", "system": "", "options": {"seed": 7}}


def test_what_the_server_says_about_the_model() -> None:
    info = {"capabilities": ["completion", "thinking"], "messages": [{"role": "user", "content": "Q"}]}
    chat = about(EMPTY, info, think=None)
    assert (chat.can_think, chat.think, chat.stored) == (True, True, (Turn("user", "Q"),))
    assert about(EMPTY, info, think=False).think is False
    assert about(EMPTY, {}, think=None).think is None


def test_history_keeps_the_newest_for_the_user_only(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "history"
    assert history.read(path) == []
    entries: list[str] = []
    for number in range(150):
        entries = history.added(entries, f"line {number} \u2028 é")
    entries = history.added(entries, "two\nlines")
    entries = history.added(entries, "  ")
    entries = history.added(entries, entries[-1])
    history.write(path, entries)
    assert history.read(path) == entries
    assert (len(entries), entries[0][:8], entries[-1][:8]) == (100, "line 50 ", "line 149")
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["history"]


def test_two_chats_share_a_history(tmp_path: Path) -> None:
    path = tmp_path / "history"
    for line in ("here", "there", "here again"):
        history.remember(path, line)
    assert history.read(path) == ["here", "there", "here again"]


def test_a_user_without_a_home_has_no_history(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nowhere)
    path = history.history_file()
    history.write(path, ["x"])
    assert (path, history.read(path)) == (None, [])


def test_a_history_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history.write(tmp_path / "file" / "history", ["x"])
    assert history.read(tmp_path / "file" / "history") == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/s", ["/set", "/show", "/save"]),
        ("/set no", ["nohistory", "nowordwrap", "noformat", "nothink"]),
        ("/set parameter num_c", ["num_ctx"]),
        ("/set think ", ["low", "medium", "high"]),
        ("/show t", ["template"]),
        ("/load t", ["tiny:latest"]),
        ("/load tiny ", []),
        ("/bye ", []),
        ("what about s", []),
        ("what about ./a\\ b", ["files like ./a\\ b"]),
        ("/tmp/x", ["files like /tmp/x"]),
        ("", []),
    ],
)
def test_what_tab_offers(line: str, expected: list[str]) -> None:
    found = completions(line, lambda: ["tiny:latest", "other:7b"], lambda word: [f"files like {word}"])
    assert found == expected


def test_models_are_asked_for_only_where_one_is_meant() -> None:
    def never() -> list[str]:
        raise AssertionError

    assert completions("/show ", never)
