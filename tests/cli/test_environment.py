"""Every variable is explained: those that count by help, those of Ollama that do nothing here when they are set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tropa import settings
from tropa.cli.environment import CHAT, ENGINES_OWN, ENVIRONMENT, SERVER, WITHOUT_EFFECT, without_effect

# What the reference lists, but for what is no setting of a server or client.
REFERENCE = [
    "OLLAMA_HOST",
    "OLLAMA_MODELS",
    "OLLAMA_KEEP_ALIVE",
    "OLLAMA_CONTEXT_LENGTH",
    "OLLAMA_NUM_PARALLEL",
    "OLLAMA_MAX_LOADED_MODELS",
    "OLLAMA_MAX_QUEUE",
    "OLLAMA_LOAD_TIMEOUT",
    "OLLAMA_ORIGINS",
    "OLLAMA_DEBUG",
    "OLLAMA_FLASH_ATTENTION",
    "OLLAMA_KV_CACHE_TYPE",
    "OLLAMA_GPU_OVERHEAD",
    "OLLAMA_SCHED_SPREAD",
    "OLLAMA_NOPRUNE",
    "OLLAMA_NOHISTORY",
    "OLLAMA_LLM_LIBRARY",
    "OLLAMA_EDITOR",
    "OLLAMA_NO_CLOUD",
    "OLLAMA_REMOTES",
    "OLLAMA_CLOUD_BASE_URL",
    "OLLAMA_MAX_TRANSFER_STREAMS",
    "OLLAMA_GO_TEMPLATE",
    "OLLAMA_DEBUG_LOG_REQUESTS",
    "OLLAMA_AUTH",
    "OLLAMA_VULKAN",
    "OLLAMA_IGPU_ENABLE",
    "OLLAMA_EXPERIMENT",
    "LLAMA_ARG_FIT",
    "LLAMA_ARG_FIT_TARGET",
    "OLLAMA_RUNNERS_DIR",
    "OLLAMA_TMPDIR",
    "OLLAMA_INTEL_GPU",
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "GGML_VK_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "HSA_OVERRIDE_GFX_VERSION",
    "HTTPS_PROXY",
]


@pytest.mark.parametrize("name", REFERENCE)
def test_every_variable_of_the_reference_counts_or_is_said_not_to(name: str) -> None:
    assert sum(name in known for known in (ENVIRONMENT, WITHOUT_EFFECT, ENGINES_OWN)) == 1


def test_every_setting_is_documented_and_every_documented_variable_is_read() -> None:
    source = Path(settings.__file__).read_text("utf-8")
    read = set(re.findall(r'read\("([A-Z_]+)"', source)) - {
        "TROPA_EXIT_WITH_STDIN"
    }  # between our own processes
    assert read == set(SERVER) - {"HTTPS_PROXY"}
    assert set(ENVIRONMENT) == {*SERVER, *CHAT, "TROPA_API_KEY"}


def test_what_does_nothing_is_told_in_order_with_what_to_do_instead() -> None:
    names = [
        "PATH",
        "OLLAMA_HOST",
        "TROPA_NUM_PARALLEL",
        "OLLAMA_LLM_LIBRARY",
        "OLLAMA_KEEPALIVE",
        "OLLAMA_ZEBRA",
    ]
    assert without_effect(names) == [
        ("OLLAMA_KEEPALIVE", "is it OLLAMA_KEEP_ALIVE?"),
        ("OLLAMA_LLM_LIBRARY", WITHOUT_EFFECT["OLLAMA_LLM_LIBRARY"]),
        ("OLLAMA_ZEBRA", "see 'tropa serve --help' for those that have"),
        ("TROPA_NUM_PARALLEL", "is it OLLAMA_NUM_PARALLEL?"),
    ]
    assert without_effect(["OLLAMA_API_KEY", "OLLAMA_EDITOR", "TROPA_EXIT_WITH_STDIN", *ENVIRONMENT]) == []


def test_serve_tells_what_does_nothing_without_its_value(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:66000")
    monkeypatch.setenv("OLLAMA_NO_CLOUD", "hunter2")
    monkeypatch.setenv("OLLAMA_KEEPALIVE", "hunter2")
    monkeypatch.setenv("OLLAMA_AUTH", "")
    monkeypatch.setattr("tropa.server.main.serve", lambda _: 0)
    transcript = run("serve")
    assert (transcript.status, transcript.out) == (0, "")
    assert transcript.err == (
        "Warning: OLLAMA_HOST: there is no port 66000, so it is 11434\n"
        "Warning: OLLAMA_KEEPALIVE has no effect here: is it OLLAMA_KEEP_ALIVE?\n"
        f"Warning: OLLAMA_NO_CLOUD has no effect here: {WITHOUT_EFFECT['OLLAMA_NO_CLOUD']}\n"
    )
