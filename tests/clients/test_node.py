"""Clients from npm, unmodified, with a server of ours: `ollama`, `openai`, and `ai` with an Ollama provider.

`make test` installs them in build/node, as tests/clients/node/package-lock.json says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.bundled import long_question
from tests.support.processes import patience
from tests.support.server import Server

PROGRAMS = Path(__file__).parent / "node"
ROOT = Path(__file__).parents[2]
PACKAGES = Path(os.environ.get("TROPA_TEST_NODE") or ROOT / "build/node") / "node_modules"
NODE = shutil.which("node")

pytestmark = [
    pytest.mark.skipif(NODE is None, reason="no Node: install node and npm (20 or later) for its clients"),
    pytest.mark.skipif(
        not PACKAGES.exists(),
        reason="the clients from npm are not here: 'make test' installs them, TROPA_TEST_NODE names their folder",
    ),
]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """The programs, where Node finds the packages."""
    folder = tmp_path / "node"
    shutil.copytree(PROGRAMS, folder)
    (folder / "node_modules").symlink_to(PACKAGES, target_is_directory=True)
    return folder


@pytest.mark.parametrize("program", ["use_ollama.mjs", "use_openai.mjs", "use_ai.mjs"])
def test_chat_streams_tools_and_embeddings(
    server: Server, caller: str, embedder: str, programs: Path, program: str
) -> None:
    question = long_question()
    arguments = [server.url, question.question, question.answer, caller, embedder]
    command = [str(NODE), str(programs / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(120), check=False)
    assert done.returncode == 0, done.stderr[-3000:]
