"""Completion in real shells; the scripts come from the table of commands, the names from server or store."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.fakeserver import Fake, as_json
from tropa.cli import completion
from tropa.cli.commands import COMMANDS

bash_only = pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")


@pytest.fixture
def names(fake: Fake, monkeypatch: pytest.MonkeyPatch, home: Path) -> Fake:
    monkeypatch.setenv("OLLAMA_HOST", fake.address)
    fake.replies["GET /api/tags"] = as_json(
        {"models": [{"name": "tiny:latest"}, {"name": "tiny:7b"}, {"name": "hf.co/me/other:Q4_K_M"}]}
    )
    return fake


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which there is a `tropa`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "tropa"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tropa "$@"\n')
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def completed(line: str, path: str) -> list[str]:
    """What bash offers at the end of `line`."""
    script = completion.bash() + (
        f"COMP_LINE={shlex.quote(line)}; COMP_POINT=${{#COMP_LINE}}; _tropa; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", script],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PATH": path},
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


@bash_only
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tropa pu", ["pull", "push"]),
        ("tropa --v", ["--version"]),
        ("tropa create --q", ["--quantize"]),
        ("tropa stop --", ["--help"]),
        ("tropa help do", ["doctor"]),
        ("tropa completion ", ["bash", "zsh", "fish"]),
        ("tropa run hf", ["hf.co/me/other:Q4_K_M"]),
        ("tropa run tin", ["tiny:latest", "tiny:7b"]),
        ("tropa run tiny:", ["latest", "7b"]),  # a colon begins a new word for readline
        ("tropa run --keepalive 5m tiny:7", ["7b"]),
        ("tropa run tiny:7b ti", []),  # the prompt is not ours to complete
        ("tropa rm tiny:7b hf", ["hf.co/me/other:Q4_K_M"]),
        ("tropa create -f Mo", []),  # a file: the shell's own completion
        ("tropa nosuch ", []),
        ("tropa list hf", ["hf.co/me/other:Q4_K_M"]),
        ("tropa check tiny:7b hf", ["hf.co/me/other:Q4_K_M"]),
        ("tropa create --d", ["--draft-quantize"]),
    ],
)
def test_what_bash_offers(names: Fake, path: str, line: str, expected: list[str]) -> None:
    assert completed(line, path) == expected


@bash_only
def test_tab_in_an_interactive_bash(names: Fake, path: str, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    rc = tmp_path / "rc"
    rc.write_text('PS1="READY "\neval "$(tropa completion bash)"\n')
    process = subprocess.Popen(
        ["bash", "--noprofile", "--rcfile", str(rc), "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "PATH": path, "TERM": "dumb"},
    )
    os.close(theirs)
    try:
        seen = b""
        while not seen.endswith(b"READY "):
            seen += os.read(ours, 4096)
        os.write(ours, b"echo tropa show hf\x01\x1b[3~" + b"\x1b[3~" * 4 + b"\x05\t")  # without `echo `
        while b"other:Q4_K_M" not in seen:
            seen += os.read(ours, 4096)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize(
    ("typed", "seen"),
    [
        ("tropa help doc", b"doctor"),
        ("tropa run hf", b"Q4_K_M"),
        ("tropa rm tiny:7b hf", b"Q4_K_M"),
        ("tropa show --li", b"--license"),
    ],
)
def test_tab_in_an_interactive_zsh(names: Fake, path: str, tmp_path: Path, typed: str, seen: bytes) -> None:
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed (Debian: apt-get install zsh)")
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    script = tmp_path / "completion.zsh"
    script.write_text(f"autoload -Uz compinit; compinit -u -D\n{completion.zsh()}PS1=''\nprint READY\n")
    process = subprocess.Popen(
        ["zsh", "-f", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**os.environ, "PATH": path, "TERM": "xterm"},
    )
    os.close(theirs)

    def until(text: bytes) -> None:
        got = b""
        while text not in got:
            assert select.select([ours], [], [], 30)[0], got
            got += os.read(ours, 4096)

    try:
        os.write(ours, f"source {script}\n".encode())
        until(b"READY\r\n")
        os.write(ours, typed.encode() + b"\t")
        until(seen)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_what_wants_a_file_is_completed_with_files() -> None:
    line = next(each for each in completion.bash().splitlines() if 'flags="--list --help' in each)
    assert "words=files" in line
    assert "from import' -F" in completion.fish()
    assert "'*:file:_files'" in completion.zsh()


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_another_shell_understands_its_script(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed (Debian: apt-get install {shell})")
    text = completion.SCRIPTS[shell]()
    done = subprocess.run([shell, "-n"], input=text, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_fish_offers(names: Fake, path: str) -> None:
    if not shutil.which("fish"):
        pytest.skip("fish is not installed (Debian: apt-get install fish)")
    script = completion.fish() + "complete -C 'tropa run tin'\ncomplete -C 'tropa pul'\n"
    done = subprocess.run(
        ["fish", "--no-config"],
        input=script,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PATH": path},
        timeout=60,
    )
    offered = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert offered == ["tiny:7b", "tiny:latest", "pull"]


@pytest.mark.parametrize("shell", [*completion.SCRIPTS])
def test_every_command_and_flag_is_in_every_script(run: Run, shell: str) -> None:
    transcript = run("completion", shell)
    assert transcript.status == 0
    for command in COMMANDS:
        assert command.name in transcript.out
        for flag in command.flags:
            assert flag.name in transcript.out


def test_names_come_from_the_store_if_no_server_runs(
    run: Run, nobody: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))
    transcript = run("completion", "--models")
    assert (transcript.status, transcript.out, transcript.err) == (0, "tiny:latest\n", "")


def test_a_shell_that_is_not_known(run: Run) -> None:
    transcript = run("completion", "csh")
    assert transcript.status == 1
    assert transcript.err == 'Error: no completion for the shell "csh": there is one for bash, zsh, fish\n'
    assert "bash, zsh, fish" in run("completion").err
