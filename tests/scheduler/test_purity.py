"""The core stays pure: no clock, no I/O, nothing asynchronous. Its imports show it."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import tropa.scheduler

CORE = Path(tropa.scheduler.__file__).parent
ALLOWED = {
    "__future__",
    "collections",
    "copy",
    "dataclasses",
    "enum",
    "heapq",
    "itertools",
    "json",  # recordings are text; reading and writing them is the shell's
    "math",
    "typing",
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_the_core_imports_nothing_impure() -> None:
    for path in CORE.rglob("*.py"):
        for name in imports(path):
            pure = name.split(".")[0] in ALLOWED or name.startswith(("tropa.scheduler", "tropa.errors"))
            assert pure, f"{path.name} imports {name}"


def test_deciding_needs_no_json() -> None:
    """`tropa ps` must feel instant; only recordings pay for their codec."""
    code = "import sys, tropa.scheduler.core; print('json' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_no_file_has_grown_a_second_noun() -> None:
    for path in CORE.rglob("*.py"):
        assert len(path.read_text().splitlines()) <= 400, path.name
