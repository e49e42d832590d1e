"""`doctor` on the machine: processor, memory, GPUs and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.library.making import gguf, make
from tests.support.places import without_privilege
from tropa.devices.device import DeviceMemory
from tropa.library.library import Library
from tropa.server.diagnosis import (
    SERVICES_STORE,
    Level,
    budget,
    gpus,
    memory,
    processor,
    services_store,
    state,
    store,
)
from tropa.settings import Settings

GIB = 1 << 30


def cpuinfo(root: Path, flags: str) -> Path:
    (root / "proc").mkdir()
    (root / "proc/cpuinfo").write_text(f"processor\t: 0\nmodel name\t: Old Iron\nflags\t\t: fpu {flags}\n")
    return root


def test_a_processor_without_avx2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    found = processor(cpuinfo(tmp_path, "sse4_2 avx"))
    assert found.level is Level.NOTE
    assert found.text.startswith("Old Iron, ")
    assert found.text.endswith("sse4_2 avx: there is no avx2")


def test_what_a_processor_can_do(tmp_path: Path) -> None:
    found = processor(cpuinfo(tmp_path, "avx2 amx_int8 avx512f rdrand"))
    assert found.level is Level.OK
    assert found.facts["features"] == ["avx2", "avx512f", "amx_int8"]


def test_memory_that_a_control_group_allows(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemTotal: {64 << 20} kB\nMemAvailable: {60 << 20} kB\n")
    found = memory(DeviceMemory("cpu", 8 * GIB, 6 * GIB), tmp_path)
    assert found.level is Level.OK
    assert found.text == "6.4 GB free of 8.6 GB (a control group allows that much of 68 GB)"
    assert memory(DeviceMemory("cpu", 8 * GIB, GIB), tmp_path).level is Level.NOTE


def test_the_budget_in_bytes_or_what_is_wrong_with_it() -> None:
    there = [DeviceMemory("cpu", 8 * GIB, 6 * GIB)]
    [found] = budget(Settings(memory_limit="50%"), there)
    assert found.text == "models may take 4.3 GB"
    [found] = budget(Settings(memory_limit="cuda:0=1GiB"), there)
    assert found.level is Level.BROKEN
    assert "this machine has cpu" in found.text


def test_a_gpu_that_the_engine_cannot_use() -> None:
    gpu = DeviceMemory("cuda:0", 24 * GIB, 20 * GIB, "cuda", "Big One")
    [found] = gpus([gpu], frozenset({"cuda"}))
    assert found.level is Level.OK
    [found] = gpus([gpu], frozenset())
    assert found.level is Level.NOTE
    assert found.advice == "set TROPA_LLAMA_SERVER to a llama-server that is built for cuda"


def test_a_store_that_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    assert store(Settings(models=tmp_path / "models")).level is Level.BROKEN


def test_a_store_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    found = store(Settings(models=tmp_path))
    assert found.level is Level.BROKEN
    assert "OLLAMA_MODELS" in found.advice


def test_a_store_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    assert store(Settings(models=tmp_path)).level is Level.NOTE


def test_a_place_to_remember_things_that_cannot_be_written_to(tmp_path: Path) -> None:
    assert state(Settings(state=tmp_path / "new/deeper")) == []
    (tmp_path / "file").write_text("")
    [found] = state(Settings(state=tmp_path / "file/state"))
    assert found.level is Level.NOTE
    assert "TROPA_STATE" in found.advice


def test_the_models_of_a_service_are_pointed_out(tmp_path: Path) -> None:
    mine = Settings(models=tmp_path / "mine")
    theirs = tmp_path / SERVICES_STORE
    assert services_store(mine, tmp_path) == []
    make(Library(theirs), "one", gguf())
    [found] = services_store(mine, tmp_path)
    assert found.level is Level.NOTE
    assert found.text == f"{theirs} has 1 model of Ollama's service, not used here"
    assert found.advice == f"to use them, set OLLAMA_MODELS={theirs}"
    assert services_store(Settings(models=theirs), tmp_path) == []


def test_folders_that_may_not_be_entered_are_findings_and_no_traceback(tmp_path: Path) -> None:
    theirs = tmp_path / SERVICES_STORE
    make(Library(theirs), "one", gguf())
    closed = tmp_path / "usr/share/ollama"
    closed.chmod(0)
    try:
        with without_privilege(closed):
            [found] = services_store(Settings(models=tmp_path / "mine"), tmp_path)
            assert "may not be read by this user" in found.text
            assert "OLLAMA_MODELS" in found.advice
            assert store(Settings(models=theirs)).facts["exists"] is False
            state(Settings(state=theirs))
    finally:
        closed.chmod(0o755)
