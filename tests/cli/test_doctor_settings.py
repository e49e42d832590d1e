"""`doctor` on the environment: what is set, what cannot be used, what does nothing, and no secret in any of it."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from tropa.cli.doctor import read_settings
from tropa.server import diagnosis
from tropa.server.diagnosis import Finding, Level, origins
from tropa.settings import Settings


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


def test_an_origin_that_the_server_would_refuse() -> None:
    assert origins(Settings(origins=("http://example.com", "app://*"))) == []
    [found] = origins(Settings(origins=("http://*.*",)))
    assert found.level is Level.BROKEN
    assert found.text == "OLLAMA_ORIGINS: 'http://*.*' has more than one '*'"
