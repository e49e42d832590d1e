"""litellm and instructor, unmodified, with a server of ours: programs in an environment of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import models, tooltemplate
from tests.support.bundled import questions
from tests.support.processes import patience
from tests.support.server import Server

PROGRAMS = Path(__file__).parent / "apart"
PYTHON = Path(os.environ.get("TROPA_TEST_APART") or Path(sys.prefix, "apart/bin/python"))

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(),
    reason="litellm and instructor have no environment here: 'make test' makes one, TROPA_TEST_APART names another",
)


@pytest.fixture(scope="module")
def tooly(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that says nonsense, and whose template knows tools."""
    path = tmp_path_factory.mktemp("tooly") / "tooly.gguf"
    server.create("tooly", models.llama(path, template=tooltemplate.TOOLS))
    return "tooly"


def run(program: str, *arguments: str) -> None:
    command = [str(PYTHON), "-W", "ignore", str(PROGRAMS / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience(120), check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_litellm(server: Server, tooly: str) -> None:
    run("use_litellm.py", server.url, questions()[0].question, questions()[0].answer, tooly)


def test_instructor(server: Server, tooly: str) -> None:
    run("use_instructor.py", server.url, tooly)
