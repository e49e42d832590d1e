"""The `llm` command with its plugin `llm-ollama`, unmodified, as a user types it, with a server of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundled import long_question
from tests.support.processes import patience
from tests.support.server import Server

PROGRAM = Path(sys.executable).parent / "llm"
TOOL = 'def now(zone: str) -> str:\n    "The time in a zone."\n    return f"noon in {zone}"\n'

Llm = Callable[..., str]


@pytest.fixture
def llm(server: Server, caller: str, embedder: str, tmp_path: Path) -> Llm:
    """Runs it in a home of its own; what it prints."""

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(PROGRAM), *words],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=patience(60),
            check=False,
            env=os.environ
            | {"OLLAMA_HOST": server.url, "LLM_USER_PATH": str(tmp_path), "HOME": str(tmp_path)},
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


def test_a_streamed_answer(llm: Llm) -> None:
    said = llm("-m", "ollama/tiny", "-o", "temperature", "0", long_question().question)
    assert said.strip() == long_question().answer


def test_it_lists_our_models(llm: Llm) -> None:
    assert {"tiny:latest", "caller:latest"} <= set(llm("ollama", "models").split())


def test_a_tool_is_called_and_its_answer_told(llm: Llm) -> None:
    said = llm("-m", "ollama/caller", "-o", "temperature", "0", "--functions", TOOL, "What time is it?")
    assert said.strip() == "It is noon."


def test_an_answer_by_a_schema(llm: Llm) -> None:
    made = json.loads(
        llm("-m", "ollama/tiny", "--schema", "tall bool", "-o", "temperature", "0", "Is it tall?")
    )
    assert isinstance(made.pop("tall"), bool)
    assert not made


def test_an_embedding(llm: Llm) -> None:
    assert len(json.loads(llm("embed", "-m", "ollama/embedder", "-c", "ba be"))) == 128
