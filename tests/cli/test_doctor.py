"""`doctor` tells what works, what does not, and what to do; a real engine, real sockets, real folders."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
import sys
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.fakeserver import Asked, Fake, Reply, as_json
from tropa import __version__
from tropa.cli.doctor import address, read_settings, report
from tropa.devices.device import DeviceMemory
from tropa.engines.wheel import WheelEngine
from tropa.runners.choice import Verdict, fingerprint
from tropa.server import diagnosis
from tropa.server.diagnosis import Finding, Level, budget, engine_finding, gpus, memory, processor, store
from tropa.settings import Settings, parse_host

GIB = 1 << 30


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


def test_all_unusable_settings_are_named_and_the_rest_still_holds() -> None:
    settings, found = read_settings(
        {"OLLAMA_NUM_PARALLEL": "many", "OLLAMA_KEEP_ALIVE": "soon", "OLLAMA_MAX_QUEUE": "7", "HOME": "/"}
    )
    assert settings.max_queue == 7
    broken = [each.text.partition("=")[0] for each in found if each.level is Level.BROKEN]
    assert sorted(broken) == ["OLLAMA_KEEP_ALIVE", "OLLAMA_NUM_PARALLEL"]


def test_only_settings_that_differ_are_listed() -> None:
    _, found = read_settings({"OLLAMA_KEEP_ALIVE": "5m", "OLLAMA_DEBUG": "1", "OLLAMA_NOPRUNE": ""})
    assert [each.text.partition(": ")[0] for each in found] == ["OLLAMA_DEBUG=1"]
    assert read_settings({})[1] == [Finding("settings", Level.OK, "all as they come")]


def test_a_misspelt_setting_is_noted_without_its_value() -> None:
    _, [found] = read_settings({"OLLAMA_KEEPALIVE": "hunter2"})
    assert found.level is Level.NOTE
    assert "OLLAMA_KEEPALIVE has no effect" in found.text
    assert "hunter2" not in repr(found)


def test_no_secret_is_shown() -> None:
    told = {
        "TROPA_API_KEYS": "hunter2",
        "HTTPS_PROXY": "http://me:hunter2@proxy:3128",
        "TROPA_API_KEY": "hunter2",
        "OLLAMA_API_KEY": "hunter2",
    }
    settings, found = read_settings(told)
    assert settings.api_keys
    assert "hunter2" not in repr(found)
    assert [each.text.partition(": ")[0] for each in found] == [
        "HTTPS_PROXY=http://proxy:3128",
        "TROPA_API_KEYS is set",
    ]
    settings, found = read_settings({"TROPA_API_KEYS": "hunter2,hünter"})
    assert [each.level for each in found] == [Level.BROKEN]
    assert "entry 2" in found[0].text
    assert "nter" not in found[0].text.partition(":")[2].replace("entry", "")


def test_variables_for_the_engine_and_the_chat_are_no_mistakes() -> None:
    told = {"CUDA_VISIBLE_DEVICES": "0", "OLLAMA_EDITOR": "vi", "OLLAMA_NOHISTORY": "1", "TROPA_PLAIN": "1"}
    _, found = read_settings(told)
    assert [each.text for each in found] == ["CUDA_VISIBLE_DEVICES=0: for the engine"]


def test_an_unusable_address_is_not_looked_at(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "diagnose", lambda settings: [])
    monkeypatch.setenv("OLLAMA_HOST", "a:b")
    transcript = run("doctor")
    assert transcript.status == 1
    assert "OLLAMA_HOST=a:b: 'b' is not a port number" in transcript.out
    assert "address   " not in transcript.out


def test_a_server_that_would_be_open_to_all_is_broken() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    [found] = address(at(f"0.0.0.0:{port}"))
    assert found.level is Level.BROKEN
    assert "TROPA_API_KEYS" in found.advice
    [found] = address(Settings(host=parse_host(f"0.0.0.0:{port}"), no_auth=True))
    assert found.level is Level.OK


def test_a_server_with_keys(fake: Fake, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(asked: Asked) -> Reply:
        if asked.headers.get("Authorization") == "Bearer right":
            return as_json({"version": "0.33.0", "tropa": __version__})
        return as_json({"error": "an API key is required"}, 401)

    fake.replies["GET /api/version"] = version
    [found] = address(at(fake.address))
    assert found.level is Level.NOTE
    assert found.text == f"a server with keys answers at http://{fake.address}: an API key is required"
    assert "TROPA_API_KEY" in found.advice
    [found] = address(at(fake.address), "right")
    assert found.level is Level.OK
    monkeypatch.setattr(diagnosis, "diagnose", lambda settings: [])
    monkeypatch.setenv("OLLAMA_HOST", fake.address)
    monkeypatch.setenv("TROPA_API_KEY", "right")
    assert f"tropa {__version__} answers" in run("doctor").out
    monkeypatch.setenv("TROPA_API_KEY", "schlüssel")
    assert "BROKEN  settings  TROPA_API_KEY: a key has none but printable ASCII" in run("doctor").out


def at(host: str) -> Settings:
    return Settings(host=parse_host(host))


def test_our_server_at_the_address(fake: Fake) -> None:
    fake.replies["GET /api/version"] = as_json({"version": "0.33.0", "tropa": __version__})
    [found] = address(at(fake.address))
    assert found.level is Level.OK
    assert found.text.startswith(f"tropa {__version__} answers at http://{fake.address}")
    fake.replies["GET /api/version"] = as_json({"version": "0.33.0", "tropa": "0.0.1"})
    [found] = address(at(fake.address))
    assert found.level is Level.NOTE
    assert found.advice.startswith("restart it")


def test_an_ollama_at_the_address(fake: Fake) -> None:
    fake.replies["GET /api/version"] = as_json({"version": "0.33.0"})
    [found] = address(at(fake.address))
    assert found.level is Level.NOTE
    assert "taken by an Ollama 0.33.0" in found.text


def test_a_server_elsewhere_is_not_mistaken_for_a_process_here(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.replies["GET /api/version"] = as_json({"version": "0.33.0", "tropa": __version__})
    here = address(at(fake.address))[0].facts
    monkeypatch.setattr("tropa.server.listener.is_loopback", lambda name: False)
    there = address(at(fake.address))[0].facts
    assert there["holder"] == ""
    if sys.platform == "linux":
        assert here["holder"] != ""


def test_something_else_at_the_address(fake: Fake) -> None:
    fake.replies["GET /api/version"] = Reply(b"<html>\nhello</html>", 404)
    [found] = address(at(fake.address))
    assert found.level is Level.BROKEN
    assert found.text.endswith(f", which is no such server (http://{fake.address} answers: 404 Not Found)")
    assert "OLLAMA_HOST" in found.advice


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system tells this to root only")
def test_who_holds_a_port() -> None:
    script = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); "
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        assert diagnosis.holder(port).endswith(f"(pid {process.pid})")
        process.communicate()
    assert diagnosis.holder(port) == ""


def test_an_address_that_a_server_could_not_have() -> None:
    with socket.socket() as bound:  # taken, though nobody listens
        bound.bind(("127.0.0.1", 0))
        [found] = address(at(f"127.0.0.1:{bound.getsockname()[1]}"))
    assert found.level is Level.BROKEN
    assert "bind: " in found.text


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


def test_the_report_has_a_line_for_each_and_advice_below() -> None:
    text = report([Finding("gpu", Level.NOTE, "slow", "buy one"), Finding("store", Level.BROKEN, "gone")])
    assert text.splitlines()[1:] == [
        "note    gpu       slow",
        "                  -> buy one",
        "BROKEN  store     gone",
        "",
        "1 broken",
    ]
