"""`tropa export` and `tropa import` as a user meets them: real store, real model, real engine, no server."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.support.processes import until
from tropa.library.bundled import packaged

QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("TROPA_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


def test_a_model_that_was_carried_answers(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("export", "tiny", "tiny.tar")
    assert (done.status, done.out, done.err) == (0, "", "exported 'tiny:latest' to 'tiny.tar'\n")
    listed = run("import", "--list", "tiny.tar")
    assert listed.out.split()[:4] == ["NAME", "ID", "SIZE", "tiny:latest"]

    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "elsewhere"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{listener.getsockname()[1]}")
    done = run("import", "tiny.tar", "carried")
    assert done.out.startswith("'carried:latest' imported (")
    assert run("run", "carried", QUESTION).out == f"{ANSWER}\n\n"
    assert run("import", "tiny.tar", "carried").out.startswith("'carried:latest' is here already (")


def test_pipes_work_at_both_ends(tmp_path: Path) -> None:
    tropa = [sys.executable, "-m", "tropa"]
    sending = subprocess.Popen(
        [*tropa, "export", "tiny", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    taking = subprocess.run(
        [*tropa, "import", "-", "me/mine"], stdin=sending.stdout, capture_output=True, check=False, timeout=60
    )
    _, told = sending.communicate()
    assert (sending.returncode, told) == (0, b"exported 'tiny:latest' to standard output\n")
    assert (taking.returncode, taking.stderr) == (0, b"")
    assert taking.stdout.startswith(b"'me/mine:latest' imported (")
    blobs = [*(tmp_path / "models/blobs").iterdir()]
    assert max(path.stat().st_size for path in blobs) == packaged().path.stat().st_size


def test_a_replaced_model_is_said_to_be(run: Run, tmp_path: Path) -> None:
    run("export", "tiny", "tiny.tar")
    manifest = tmp_path / "models/manifests/registry.ollama.ai/library/mine/latest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": []}))
    assert run("import", "tiny.tar", "mine").out.endswith(", in place of the model that had this name\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "nothing", "x.tar"], "model 'nothing' not found"),
        (["export", "tiny", "there.tar"], '"there.tar" exists already'),
        (["export", "tiny", "tiny"], "the last argument is the file to write"),
        (["export", "tiny"], "requires at least 2 arg(s)"),
        (["export", "../x", "x.tar"], "invalid model name"),
        (["import", "missing.tar"], 'cannot open "missing.tar": No such file'),
        (["import", "."], 'cannot open ".": Is a directory'),
        (["import", "there.tar"], "no tar file"),
        (["import", "there.tar", "a b"], "invalid model name"),
        (["import", "--list", "there.tar", "name"], "--list takes no name"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    words: list[str], message: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "there.tar").write_bytes(b"precious" * 100)
    done = run(*words)
    assert done.status == 1
    assert done.err.startswith("Error: ")
    assert message in done.err
    assert (tmp_path / "there.tar").read_bytes() == b"precious" * 100
    assert {path.name for path in tmp_path.iterdir()} <= {"there.tar", "models", "state", "home"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output_is_an_error(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tropa", "export", "tiny", "-"],
            stdout=full, stderr=subprocess.PIPE, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert b"Error: cannot write to standard output: No space left on device\n" in done.stderr
    assert b"Traceback" not in done.stderr


def test_force_replaces_the_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"old")
    assert run("export", "--force", "tiny", "x.tar").status == 0
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert tar.getnames()[:2] == ["oci-layout", "index.json"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_import_that_is_ended_leaves_nothing(number: signal.Signals, run: Run, tmp_path: Path) -> None:
    run("export", "tiny", "tiny.tar")
    data = (tmp_path / "tiny.tar").read_bytes()
    taking = subprocess.Popen(
        [sys.executable, "-m", "tropa", "import", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert taking.stdin is not None
    with taking.stdin:
        taking.stdin.write(data[:-2560])  # the weights are whole, and the next member is not
        taking.stdin.flush()
        blobs = tmp_path / "models/blobs"
        until(lambda: blobs.is_dir() and any(blobs.glob("sha256-*")), "the weights are there")
        taking.send_signal(number)
        assert taking.wait(timeout=30) == 128 + number
    assert taking.stderr is not None
    assert taking.stderr.read() == b""
    taking.stderr.close()
    assert [*blobs.iterdir()] == []
    assert [*(tmp_path / "models/.tropa/claims").iterdir()] == []
