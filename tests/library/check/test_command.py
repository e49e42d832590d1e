"""`tropa check` as a command: what it says, and its exit status."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.library.check.reports import age, weights
from tests.library.making import add
from tropa.cli.main import main
from tropa.library.library import Library


@pytest.fixture
def command(
    full: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("OLLAMA_MODELS", str(full.store.root))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")  # no server is asked

    def command(*words: str) -> tuple[int, str, str]:
        status = main(["check", *words])
        return status, *capsys.readouterr()

    return command


def test_the_command_says_what_is_wrong_and_what_to_do(
    full: Library, command: Callable[..., tuple[int, str, str]]
) -> None:
    assert command() == (0, f"2 models, 5 blobs, {_size(full)}: all is well\n", "")
    weights(full, "one").write_bytes(b"damaged")
    status, out, err = command("one")
    assert status == 1
    assert out.startswith("damaged: sha256:")
    assert "needed by one:latest\n" in out
    assert "tropa check --repair" in err
    status, out, err = command("--repair")
    assert status == 1
    assert "put aside sha256:" in out
    assert "missing: sha256:" in out
    assert err == "To be pulled or created anew, or removed (tropa pull, create, rm): one:latest\n"
    full.delete("one")
    assert command()[0] == 0


def test_a_repair_that_leaves_nothing_wrong_ends_well(
    full: Library, command: Callable[..., tuple[int, str, str]]
) -> None:
    add(full.store.blobs, "", b"orphan")
    age(full)
    assert command()[0] == 1
    status, out, err = command("--repair")
    assert (status, err) == (0, "")
    assert "removed 1 file that nobody needs" in out
    assert out.endswith(": all is well\n")


def test_a_model_that_is_not_there_is_an_error(command: Callable[..., tuple[int, str, str]]) -> None:
    assert command("three") == (1, "", "Error: model 'three' not found\n")


def _size(library: Library) -> str:
    from tropa.text.sizes import format_size

    return format_size(sum(path.stat().st_size for path in library.store.blobs.folder.iterdir()))
