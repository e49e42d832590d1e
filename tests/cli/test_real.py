"""The command line against the real server with the bundled model: no fake in sight."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Run, Transcript
from tropa import __version__
from tropa.cli import target
from tropa.cli.ownserver import server_running
from tropa.client.errors import CannotConnect
from tropa.library.bundled import packaged

QUESTION, ANSWER = "What is the capital of France?", "The capital of France is Paris."


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A free address, and an empty store for whatever server runs there."""
    folder = tmp_path_factory.mktemp("real")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OLLAMA_HOST", address)
        patch.setenv("OLLAMA_MODELS", str(folder / "models"))
        patch.setenv("TROPA_STATE", str(folder / "state"))
        yield address


@pytest.fixture
def server(address: str) -> Iterator[None]:
    with server_running(target.client()):
        yield


@pytest.mark.usefixtures("address")
def test_run_needs_no_server_and_leaves_none(run: Run) -> None:
    assert run("run", "tiny", QUESTION) == Transcript(0, f"{ANSWER}\n\n", "")
    with pytest.raises(CannotConnect):
        target.client().alive()


@pytest.mark.usefixtures("server")
def test_a_day_in_the_life(run: Run, tmp_path: Path) -> None:
    assert run("--version").out == f"tropa version is {__version__}\n"
    assert run("list").out.split()[4:5] == ["tiny:latest"]
    assert run("run", "tiny", piped=f"{QUESTION}\n".encode()) == Transcript(0, f"{ANSWER}\n\n", "")
    name, _, number, unit, share, processor, context, *_ = run("ps").out.splitlines()[1].split()
    assert (name, unit) == ("tiny:latest", "MB")
    assert int(number) > 0
    assert (share, processor) == ("100%", "CPU") or "GPU" in processor
    assert int(context) >= 2048

    modelfile = tmp_path / "Modelfile"
    modelfile.write_text(f"FROM {packaged().path}\n")
    assert run("create", "mine", "-f", str(modelfile)).err.endswith("\nwriting manifest\nsuccess\n")
    assert run("run", "mine", QUESTION).out == f"{ANSWER}\n\n"
    assert run("cp", "mine", "copy") == Transcript(0, "copied 'mine' to 'copy'\n", "")
    assert run("list", "copy").out.count("\n") == 2
    assert "    architecture        llama" in run("show", "mine").out
    assert run("stop", "tiny") == Transcript(0, "", "")
    assert run("rm", "mine", "copy", "copy") == Transcript(
        1, "deleted 'mine'\ndeleted 'copy'\n", "Error: model 'copy' not found\n"
    )


@pytest.mark.usefixtures("server")
def test_unknown_models(run: Run) -> None:
    transcript = run("run", "127.0.0.1:1/team/nosuch", "hi")  # it is looked for where its name says
    assert (transcript.status, transcript.out) == (1, "")
    assert "\nError: pull model manifest: " in transcript.err
    assert run("stop", "nosuch") == Transcript(1, "", 'Error: couldn\'t find model "nosuch" to stop\n')
    assert run("show", "nosuch") == Transcript(1, "", "Error: model 'nosuch:latest' not found\n")
    assert run("cp", "nosuch", "x") == Transcript(1, "", 'Error: model "nosuch" not found\n')


@pytest.mark.usefixtures("server")
def test_a_file_that_is_no_model(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"not a model at all")
    (tmp_path / "Modelfile").write_text("FROM bad.gguf\n")
    transcript = run("create", "bad", "-f", str(tmp_path / "Modelfile"))
    assert (transcript.status, transcript.out) == (1, "")
    assert "\nError: bad.gguf: supplied file was not in GGUF format" in transcript.err
    assert run("list", "bad").out.count("\n") == 1, "nothing is registered"


@pytest.mark.usefixtures("server")
def test_a_second_server_finds_the_port_taken(run: Run, address: str) -> None:
    transcript = run("serve")
    assert transcript.status == 1
    assert f"Error: listen tcp {address}: bind: address already in use\n" in transcript.err
    assert "set OLLAMA_HOST" in transcript.err
    if sys.platform == "linux":
        assert re.search(r"\nStop \S.* \(pid \d+\), which has it", transcript.err)


def test_bad_settings_are_reported_together(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_NUM_PARALLEL", "many")
    monkeypatch.setenv("OLLAMA_KV_CACHE_TYPE", "q3")
    transcript = run("serve")
    assert transcript.status == 1
    assert [line.split("=")[0] for line in transcript.err.splitlines()] == [
        "Error: OLLAMA_NUM_PARALLEL",
        "Error: OLLAMA_KV_CACHE_TYPE",
    ]


def test_a_server_that_cannot_start_for_run_says_why(
    run: Run, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_MAX_QUEUE", "endless")
    transcript = run("run", "tiny", "hi")
    assert (transcript.status, transcript.out) == (1, "")
    assert transcript.err.startswith(
        "Error: could not start a server: exit status 1:\n  OLLAMA_MAX_QUEUE=endless: "
    )
