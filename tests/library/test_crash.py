"""Whoever dies when, and whoever works at the same time: the store stays valid."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.library import crashing
from tests.library.making import broken
from tropa.errors import TropaError
from tropa.library.check import Check, Kind
from tropa.library.repair import repair

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")


def start(*args: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.library.crashing", *args]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def result(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    out, err = process.communicate()
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("scenario", crashing.SCENARIOS)
def test_a_kill_at_any_step_leaves_a_valid_store(scenario: str, tmp_path: Path) -> None:
    template = tmp_path / "template"
    template.mkdir()
    crashing.furnish(template)
    if scenario == "repair":
        crashing.spoil(template)
    (tmp_path / "work").mkdir()
    found = result(start("every", scenario, str(template), str(tmp_path / "work")))
    assert found["wrong"] == []
    assert found["steps"] >= 3


def test_processes_at_once_never_corrupt_the_store(tmp_path: Path) -> None:
    crashing.furnish(tmp_path)
    processes = [start("together", str(tmp_path), "60", str(seed)) for seed in range(4)]
    done = [result(process)["done"] for process in processes]
    assert sum(done) > 0
    store = crashing.library(tmp_path).store
    assert broken(store) == []
    assert list((store.home / "claims").iterdir()) == []
    assert Check(crashing.library(tmp_path)).run().problems == ()


def test_a_check_and_a_repair_beside_busy_processes_find_nothing_and_harm_nothing(tmp_path: Path) -> None:
    crashing.furnish(tmp_path)
    at = crashing.library(tmp_path)
    writers = [start("together", str(tmp_path), "80", str(seed)) for seed in (11, 12)]
    checked = 0
    while any(writer.poll() is None for writer in writers):
        check = Check(at)
        bad = [each for each in check.run().problems if each.kind is not Kind.ORPHANED]
        assert bad == []
        repair(check)
        checked += 1
    for writer in writers:
        result(writer)
    assert checked
    crashing.mend(at)
    assert Check(at).run().problems == ()
    assert broken(at.store) == []


def test_threads_at_once_never_corrupt_the_store(tmp_path: Path) -> None:
    crashing.furnish(tmp_path)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            crashing.together(tmp_path, 40, seed)
        except BaseException as error:  # noqa: BLE001 (a thread has no other way to tell)
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert broken(crashing.library(tmp_path).store) == []


def test_readers_never_see_a_model_without_its_blobs(tmp_path: Path) -> None:
    crashing.furnish(tmp_path)
    at = crashing.library(tmp_path)
    writer = start("together", str(tmp_path), "80", "5")
    seen = 0
    while writer.poll() is None:
        for model in at.models():
            seen += 1
            assert not [each for each in model.problems if "JSON" in each or "manifest" in each]
        try:
            at.find("keep")
        except TropaError as error:  # nothing ever touches this one
            raise AssertionError(str(error)) from error
    result(writer)
    assert seen
