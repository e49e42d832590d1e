"""schemathesis, unmodified, makes up requests of what our OpenAPI document says: none of them is our fault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.processes import patience
from tests.support.server import Server

PROGRAM = Path(sys.executable).parent / "schemathesis"
LEFT_OUT = "/api/(create|pull|push|me)$"
"""The first three may ask registries that the made-up names stand for; the last says 503: there are no accounts."""

EXPECTED = """
[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "501"]
"""
"""The last is documented: an embedding of a model that makes none, as the reference's engine answers."""


def test_no_request_is_our_fault(server: Server, tmp_path: Path) -> None:
    asked = [
        "--checks=not_a_server_error",
        "--phases=examples,coverage,fuzzing",
        "--max-examples=5",
        "--seed=1",
    ]
    plain = ["--no-color", "--exclude-path-regex", LEFT_OUT]
    (tmp_path / "schemathesis.toml").write_text(EXPECTED)
    command = [str(PROGRAM), "run", f"{server.url}/openapi.json", *asked, *plain]
    done = subprocess.run(
        command, capture_output=True, cwd=tmp_path, text=True, timeout=patience(120), check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert server.get("/api/version").status == 200
