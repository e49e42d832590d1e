"""Wrong command lines get the texts that scripts know, help goes to stdout, and nothing asks the server."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.conftest import Run
from tests.cli.fakeserver import Fake, as_json
from tropa.cli import commands, helpdoc
from tropa.cli.command import Flag, Takes, UsageError
from tropa.cli.parse import parse

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["create"], "accepts 1 arg(s), received 0"),
        (["show", "a", "b"], "accepts 1 arg(s), received 2"),
        (["cp", "a"], "accepts 2 arg(s), received 1"),
        (["serve", "x"], "accepts 0 arg(s), received 1"),
        (["rm"], "requires at least 1 arg(s), only received 0"),
        (["run"], "requires at least 1 arg(s), only received 0"),
        (["ps", "a", "b"], "accepts at most 1 arg(s), received 2"),
        (["list", "--all"], "unknown flag: --all"),
        (["list", "--all=1"], "unknown flag: --all"),
        (["run", "m", "-x"], "unknown shorthand flag: 'x' in -x"),
        (["show", "-vx", "m"], "unknown shorthand flag: 'x' in -vx"),
        (["run", "m", "--format"], "flag needs an argument: --format"),
        (["create", "m", "-f"], "flag needs an argument: 'f' in -f"),
        (
            ["run", "m", "--verbose=maybe"],
            'invalid argument "maybe" for "--verbose" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        (
            ["run", "m", "--dimensions", "few"],
            'invalid argument "few" for "--dimensions" flag: strconv.ParseInt: parsing "few": invalid syntax',
        ),
        (["run", "m", "---"], "bad flag syntax: ---"),
        (["--what"], "unknown flag: --what"),
        (["run", "m", "--keepalive", "10"], 'time: missing unit in duration "10"'),
        (
            ["run", "m", "--think=x"],
            'invalid value for --think: "x" (must be true, false, high, medium, low, or max)',
        ),
        (["fly", "m"], 'unknown command "fly" for "tropa"'),
        ([""], 'unknown command "" for "tropa"'),
        (["x" * 100_000], f'unknown command "{"x" * 100_000}" for "tropa"'),
    ],
)
def test_usage_errors(run: Run, nobody: str, words: list[str], complaint: str) -> None:
    transcript = run(*words)
    assert transcript == (type(transcript))(1, "", f"Error: {complaint}\n")


def test_an_unknown_command_comes_with_suggestions(run: Run) -> None:
    transcript = run("lst")
    assert (transcript.status, transcript.out) == (1, "")
    assert transcript.err == ('Error: unknown command "lst" for "tropa"\n\nDid you mean this?\n\tlist\n\n')
    assert run("help", "sevre").err.endswith("\tserve\n\n")


@pytest.mark.parametrize(
    ("typed", "meant"), [("delete", "rm"), ("Remove", "rm"), ("download", "pull"), ("version", "--version")]
)
def test_words_of_other_programs_are_understood(run: Run, typed: str, meant: str) -> None:
    assert run(typed, "m").err.endswith(f"Did you mean this?\n\t{meant}\n\n")


@pytest.mark.parametrize(
    ("name", "why", "instead"),
    [
        ("signin", "signin: there is no account to sign in to", "'tropa login'"),
        ("signout", "signout: there is no account to sign out of", "'tropa logout'"),
        ("launch", "launch: starting other programs is left to you", "address of the server"),
    ],
)
def test_commands_that_make_no_sense_here_say_what_to_do_instead(
    run: Run, name: str, why: str, instead: str
) -> None:
    transcript = run(name)
    assert (transcript.status, transcript.out) == (1, "")
    assert transcript.err.startswith(f"Error: {why}")
    assert instead in transcript.err


def test_a_format_that_is_no_json_fails_before_anything_is_sent(run: Run, nobody: str) -> None:
    transcript = run("run", "m", "--format", "xml", "hi")
    assert transcript.err.startswith(
        "Error: json: error calling MarshalJSON for type json.RawMessage: "
        "invalid character 'x' looking for beginning of value\n"
    )


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"], ["help", "help"], ["help", "-h"]])
def test_help_of_the_program(run: Run, words: list[str]) -> None:
    transcript = run(*words)
    assert (transcript.status, transcript.err) == (0, "")
    assert transcript.out.startswith("Tropa serves large language models")
    assert all(f"  {command.name} " in transcript.out for command in commands.COMMANDS)


@pytest.mark.parametrize("words", [["run", "--help"], ["run", "-h"], ["help", "run"], ["--help", "run"]])
def test_help_of_a_command(run: Run, words: list[str]) -> None:
    transcript = run(*words)
    assert (transcript.status, transcript.err) == (0, "")
    assert "tropa run MODEL [PROMPT...] [FLAGS]" in transcript.out
    assert "--keepalive DURATION" in transcript.out
    assert "OLLAMA_HOST" in transcript.out


def test_help_wins_over_missing_arguments_but_not_over_bad_flags(run: Run) -> None:
    assert run("show", "--help").status == 0
    assert run("show", "--help", "--nosuch").status == 1


def test_a_command_without_a_server(run: Run, nobody: str) -> None:
    for words in (["ps"], ["list"], ["ls"], ["show", "m"], ["stop", "m"], ["rm", "m"], ["cp", "a", "b"]):
        transcript = run(*words)
        assert (transcript.status, transcript.out) == (1, "")
        assert transcript.err == (
            "Error: could not connect to tropa server, run 'tropa serve' to start it\n"
            f"Nobody listens at http://{nobody}, where OLLAMA_HOST says\n"
        ), words


def test_a_port_that_cannot_be_is_told_and_the_usual_one_taken(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:66000")
    monkeypatch.setattr("tropa.text.address.DEFAULT_PORT", 1)
    assert run("ps").err.startswith(
        "Warning: OLLAMA_HOST=127.0.0.1:66000: there is no port 66000, so it is 1\n"
    )


def test_a_bad_address_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "ftp://nowhere")
    transcript = run("ps")
    assert transcript.status == 1
    assert transcript.err.startswith("Error: OLLAMA_HOST=ftp://nowhere: ")


FLAGS = (
    Flag("file", "", Takes.TEXT, "f"),
    Flag("think", "", Takes.TEXT, bare="true"),
    Flag("verbose", "", short="v"),
    Flag("quiet", "", short="q"),
)


@pytest.mark.parametrize(
    ("words", "args", "given"),
    [
        (["a", "--verbose", "b"], ["a", "b"], {"verbose": "true"}),
        (["--verbose=false"], [], {"verbose": "false"}),
        (["--file", "x", "a"], ["a"], {"file": "x"}),
        (["--file=x=y"], [], {"file": "x=y"}),
        (["--file="], [], {"file": ""}),
        (["--file", "--verbose"], [], {"file": "--verbose"}),
        (["-f", "x"], [], {"file": "x"}),
        (["-fx"], [], {"file": "x"}),
        (["-f=x"], [], {"file": "x"}),
        (["-vq"], [], {"verbose": "true", "quiet": "true"}),
        (["-vfx"], [], {"verbose": "true", "file": "x"}),
        (["--think", "a"], ["a"], {"think": "true"}),
        (["--think=low"], [], {"think": "low"}),
        (["-", "--", "-v", "--", "x"], ["-", "-v", "--", "x"], {}),
        (["-f", "1", "-f", "2"], [], {"file": "2"}),
        (["", "a"], ["", "a"], {}),
    ],
)
def test_flags_and_arguments_mix(words: list[str], args: list[str], given: dict[str, str]) -> None:
    call = parse(words, FLAGS)
    assert (call.args, call.given) == (args, given)


@given(st.lists(st.text("-=fvqthinkle \x00\né", max_size=8), max_size=6))
def test_any_words_are_understood_or_a_usage_error(words: list[str]) -> None:
    with contextlib.suppress(UsageError):
        call = parse(words, FLAGS)
        assert len(call.args) + len(call.given) <= len(words) + sum(map(len, words))
        assert all(word in words for word in call.args)


def test_a_flag_without_its_value() -> None:
    with pytest.raises(UsageError, match="flag needs an argument: --file"):
        parse(["--file"], FLAGS)


def test_the_help_page_is_fresh() -> None:
    """`python -m tropa.cli.helpdoc` mends it."""
    assert (ROOT / helpdoc.PAGE).read_text("utf-8") == helpdoc.page()


def test_a_stale_help_page_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").mkdir()
    assert helpdoc.main(["--check"]) == 1
    assert helpdoc.main([]) == 0
    assert helpdoc.main(["--check"]) == 0


HEAVY = {"asyncio", "uvicorn", "starlette", "msgspec", "psutil", "uvloop", "xllamacpp", "argparse", "logging"}
HEAVY |= {"prompt_toolkit", "rich", "pygments", "http", "email", "ssl", "pathlib", "hashlib"}


def modules_after(script: str, *words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {script}; print(*sys.modules)", *words],
        stdout=subprocess.PIPE,
        check=True,
        encoding="utf-8",
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("words", [["--version"], ["ps"], ["--help"]])
def test_a_quick_command_imports_nothing_heavy(words: list[str], nobody: str) -> None:
    anyway = modules_after("pass")  # what this installation of Python starts with
    imported = modules_after("from tropa.cli.main import main; main(sys.argv[1:])", *words)
    assert not HEAVY & (imported - anyway)


def tropa_process(words: str, redirected: str) -> subprocess.CompletedProcess[bytes]:
    """A shell's redirections cannot be had in this process."""
    script = f'exec "{sys.executable}" -m tropa {words} {redirected}'
    return subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=False, timeout=60)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("words", ["--help", "--version"])
def test_a_full_disk_is_one_line_and_a_status(nobody: str, words: str) -> None:
    done = tropa_process(words, ">/dev/full")
    assert done.returncode == 1
    assert done.stderr == b"Error: cannot write to standard output: No space left on device\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_complaint_that_cannot_be_written_leaves_its_status(nobody: str) -> None:
    assert tropa_process("nosuch", "2>/dev/full").returncode == 1


def test_closed_streams_are_nowhere_and_no_traceback(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", fake.address)
    fake.replies["GET /api/ps"] = as_json({"models": []})
    for closed, status in ((">&-", 0), (">&- 2>&-", 0), ("<&- >&- 2>&-", 0), ("2>&-", 0)):
        done = tropa_process("ps", closed)
        assert (done.returncode, done.stderr) == (status, b""), closed
    assert tropa_process("nosuch", "2>&-").returncode == 1


def test_python_m_tropa_is_tropa(nobody: str) -> None:
    done = subprocess.run([sys.executable, "-m", "tropa", "nosuch"], stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b'Error: unknown command "nosuch" for "tropa"')


def test_a_reader_that_has_enough_is_no_error(nobody: str) -> None:
    script = f"{sys.executable} -m tropa --help | true"
    done = subprocess.run(["sh", "-c", script], stderr=subprocess.PIPE, check=True)
    assert done.stderr == b""
