"""langchain and llama-index with their Ollama parts, unmodified, with a server of ours.

Each is a program of its own: what these libraries import takes seconds, and what they warn about is theirs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bundled import questions
from tests.support.processes import patience
from tests.support.server import Server

PROGRAMS = Path(__file__).parent / "programs"
HELLO = questions()[0]


@pytest.mark.parametrize("program", ["use_langchain.py", "use_llama_index.py"])
def test_chat_streams_tools_types_and_embeddings(
    server: Server, caller: str, embedder: str, program: str
) -> None:
    arguments = [server.url, HELLO.question, HELLO.answer, caller, embedder]
    command = [sys.executable, "-W", "ignore", str(PROGRAMS / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(120), check=False)
    assert done.returncode == 0, done.stderr[-3000:]
