"""`doctor` tells what works, what does not, and what to do; a real engine, real sockets, real folders."""

from __future__ import annotations

import json
import stat
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tropa.cli.doctor import report
from tropa.engines.wheel import WheelEngine
from tropa.runners.choice import Verdict, fingerprint
from tropa.server.diagnosis import Finding, Level, engine_finding


def findings(text: str, topic: str) -> list[dict[str, Any]]:
    return [each for each in json.loads(text)["findings"] if each["topic"] == topic]


def test_a_machine_on_which_all_is_well(
    run: Run, nobody: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OLLAMA_MODELS", raising=False)
    transcript = run("doctor")
    assert transcript.status == 0, transcript.out
    assert "works: it answered with the bundled model" in transcript.out
    assert f"{home}/.ollama/models: 1 model, " in transcript.out
    assert f"http://{nobody} is free; 'tropa serve' would listen there" in transcript.out
    assert transcript.out.endswith("\nnothing is broken\n")
    assert not (home / ".ollama").exists(), "looking leaves nothing behind"


def test_what_is_broken_comes_with_advice_and_a_status(
    run: Run, nobody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROPA_LLAMA_SERVER", "no-such-llama-server")
    transcript = run("doctor", "--json")
    assert transcript.status == 1
    assert json.loads(transcript.out)["broken"] is True
    [engine] = findings(transcript.out, "engine")
    assert engine["level"] == "broken"
    assert "TROPA_LLAMA_SERVER=no-such-llama-server: there is no such executable" in engine["text"]


def test_an_engine_that_fails_leaves_the_next_to_work(
    run: Run, nobody: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong = tmp_path / "llama-server"
    wrong.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('illegal instruction')\n")
    wrong.chmod(wrong.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("TROPA_LLAMA_SERVER", str(wrong))
    transcript = run("doctor", "--json")
    assert transcript.status == 0
    first, second = findings(transcript.out, "engine")
    assert first["level"] == "note"
    assert "illegal instruction" in first["text"]
    assert second["level"] == "ok"
    assert second["works"]


def test_the_only_engine_failing_is_broken() -> None:
    found = engine_finding(WheelEngine(), Verdict("killed by SIGILL"), "", Path("engines.json"))
    assert found.level is Level.BROKEN
    assert found.advice.startswith("set TROPA_LLAMA_SERVER")


def absent(name: str) -> str:
    raise PackageNotFoundError(name)


@pytest.mark.parametrize("half", [True, False])
def test_an_engine_that_is_not_installed_or_only_half(
    run: Run, nobody: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, half: bool
) -> None:
    spec = ModuleSpec("xllamacpp", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr("tropa.engines.wheel.find_spec", lambda name: spec if half else None)
    if not half:
        monkeypatch.setattr("tropa.engines.wheel.version", absent)
    transcript = run("doctor", "--json")
    assert transcript.status == 1
    [engine] = findings(transcript.out, "engine")
    assert engine["level"] == "broken"
    assert ("has no extension module" if half else "xllamacpp is not installed") in engine["text"]
    assert "pip install" in engine["advice"]


@pytest.mark.skipif(sys.platform == "win32", reason="sockets have no folder there")
def test_no_place_for_sockets_is_a_finding_beside_the_others(
    run: Run, nobody: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tropa").write_text("")
    monkeypatch.setattr("tropa.runners.rundir.runtime_home", lambda: tmp_path / "tropa")
    transcript = run("doctor", "--json")
    assert transcript.status == 1
    [engine] = findings(transcript.out, "engine")
    assert "the folder for the engines' sockets" in engine["text"]
    assert "XDG_RUNTIME_DIR" in engine["advice"]
    assert findings(transcript.out, "memory")


def test_an_engine_that_is_set_aside_although_it_works(
    run: Run, nobody: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TROPA_STATE", str(tmp_path))
    verdicts = tmp_path / "engines.json"
    verdicts.write_text(json.dumps({fingerprint(WheelEngine()): {"complaint": "it was ill"}}))
    [found] = findings(run("doctor", "--json").out, "engine")
    assert found["level"] == "note"
    assert found["text"].endswith("is set aside because it once failed: it was ill")
    assert str(verdicts) in found["advice"]


def test_the_report_has_a_line_for_each_and_advice_below() -> None:
    text = report([Finding("gpu", Level.NOTE, "slow", "buy one"), Finding("store", Level.BROKEN, "gone")])
    assert text.splitlines()[1:] == [
        "note    gpu       slow",
        "                  -> buy one",
        "BROKEN  store     gone",
        "",
        "1 broken",
    ]
