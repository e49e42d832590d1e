"""Coding agents from npm, unmodified: Codex by /v1/responses, Claude Code by /v1/messages. Each runs a command that the
model asks for, and tells what came of it.

`make test-heavy` installs them in build/agents (640 MB); TROPA_TEST_AGENTS names another folder.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.places import short_folder
from tests.support.processes import patience
from tests.support.scripted import scripted
from tests.support.server import Server, serving

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(os.environ.get("TROPA_TEST_AGENTS") or ROOT / "build/agents") / "node_modules/.bin"
SHORT = (
    '{{ $last := "" }}{{ range .Messages }}{{ $last = .Role }}{{ if .ToolCalls }}{{ end }}{{ end }}'
    "{{ if .Tools }}{{ end }}"
    '{{ if eq $last "tool" }}<told>{{ else }}<go>{{ end }}'
)
"""Of all that an agent says only whether a tool has answered: the rest is tens of thousands of letters."""
COMMAND = "echo hello > said.txt; cat said.txt"
CALLS = {
    "codex": {"name": "exec_command", "arguments": {"cmd": COMMAND}},
    "claude": {"name": "Bash", "arguments": {"command": COMMAND, "description": "Say hello"}},
}


@pytest.fixture(scope="module")
def agents() -> Iterator[Server]:
    """With a model for each agent, which calls the agent's own tool once."""
    with short_folder() as folder, serving(folder) as server:
        for name, call in CALLS.items():
            scripts = {
                "<go>": ["<tool_call>", json.dumps(call), "</tool_call>"],
                "<told>": ["It says ", "hello", "."],
            }
            path = scripted(
                folder / f"{name}.gguf", scripts, special=["<tool_call>", "</tool_call>"], context=32768
            )
            server.create(name, path, template=SHORT)
        yield server


def run(name: str, *arguments: str, folder: Path, **environ: str) -> str:
    """What the agent says at its end. It has a home of its own and the folder to work in."""
    program = PROGRAMS / name
    if not program.exists():
        pytest.skip(f"{name} is not here: 'make test-heavy' installs it")
    (folder / "home").mkdir()
    work = folder / "work"
    work.mkdir()
    done = subprocess.run(
        [str(program), *arguments],
        cwd=work,
        env=os.environ | {"HOME": str(folder / "home")} | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=patience(120),
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (work / "said.txt").read_text() == "hello\n"
    return done.stdout


ALONE = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")


def test_codex_runs_a_command_and_tells_what_came_of_it(agents: Server, tmp_path: Path) -> None:
    settings = {
        "model_provider": "tropa",
        "model_providers.tropa.name": "tropa",
        "model_providers.tropa.base_url": f"{agents.url}/v1",
        "model_providers.tropa.wire_api": "responses",
    }
    flags = [part for key, value in settings.items() for part in ("-c", f'{key}="{value}"')]
    assert "It says hello." in run(
        "codex", "exec", *flags, *ALONE, "-m", "codex", "Say hello", folder=tmp_path
    )


def test_codex_takes_us_for_its_local_server(agents: Server, tmp_path: Path) -> None:
    """It asks for the version, and the list of models: a name has to stand there as it is."""
    said = run(
        *("codex", "exec", "--oss", "--local-provider", "ollama", *ALONE, "-m", "codex:latest", "Say hello"),
        folder=tmp_path,
        CODEX_OSS_BASE_URL=f"{agents.url}/v1",
    )
    assert "It says hello." in said


def test_claude_code_runs_a_command_and_tells_what_came_of_it(agents: Server, tmp_path: Path) -> None:
    said = run(
        *(
            "claude",
            "-p",
            "Say hello",
            "--model",
            "claude",
            "--allowedTools",
            "Bash",
            "--output-format",
            "json",
        ),
        folder=tmp_path,
        ANTHROPIC_BASE_URL=agents.url,
        ANTHROPIC_API_KEY="none",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
        DISABLE_AUTOUPDATER="1",
        DISABLE_TELEMETRY="1",
    )
    told = json.loads(said)
    assert (told["is_error"], told["result"], told["num_turns"]) == (False, "It says hello.", 2)
