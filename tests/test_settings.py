"""The environment, read once: what each variable takes, and what is said of all that can't be used."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tropa.settings import BadSettings, Host, Settings, load, parse_host

HOSTS = [  # cli.md §9.1
    ("", "http://127.0.0.1:11434"),
    ("1.2.3.4", "http://1.2.3.4:11434"),
    (":1234", "http://:1234"),
    ("0.0.0.0", "http://0.0.0.0:11434"),
    ("example.com", "http://example.com:11434"),
    ("example.com:1234", "http://example.com:1234"),
    ("::1", "http://[::1]:11434"),
    ("[::1]", "http://[::1]:11434"),
    ("[::1]:1234", "http://[::1]:1234"),
    ("http://1.2.3.4", "http://1.2.3.4:80"),
    ("HTTPS://1.2.3.4", "https://1.2.3.4:443"),
    ("http://1.2.3.4:1234", "http://1.2.3.4:1234"),
    ("https://example.com", "https://example.com:443"),
    ("https://example.com/ollama", "https://example.com:443/ollama"),
    ("https://example.com:8443/ollama/", "https://example.com:8443/ollama"),
    ("example.com/ollama", "http://example.com:11434/ollama"),
    (":66000", "http://:11434"),
    ("1.2.3.4:65535", "http://1.2.3.4:65535"),
    ("1.2.3.4:0", "http://1.2.3.4:0"),
    ("ollama.com", "https://ollama.com:443"),
    ('"1.2.3.4"', "http://1.2.3.4:11434"),
    ("  1.2.3.4 ", "http://1.2.3.4:11434"),
]


@pytest.mark.parametrize(("text", "url"), HOSTS)
def test_host_in_all_its_forms(text: str, url: str) -> None:
    assert load({"OLLAMA_HOST": text}).host.url == url


def test_a_port_out_of_range_of_a_named_scheme_is_the_schemes_own() -> None:
    assert parse_host("https://example.com:66000") == Host("example.com", 443, "https")


@pytest.mark.parametrize("port", ["65536", "66000", "9" * 5000])
def test_a_port_out_of_range_comes_with_a_warning(port: str) -> None:
    assert parse_host(f":{port}").warning == f"there is no port {port[:20]}, so it is 11434"
    assert parse_host(":65535").warning == ""


@pytest.mark.parametrize(
    "text",
    ["ftp://a", "://a", "a b", "me@example.com", "a:port", "a:-1", "a:1:2x:", "a?b", "[::1", "[::1]x:5"],
)
def test_no_host(text: str) -> None:
    with pytest.raises(BadSettings, match=r"^OLLAMA_HOST="):
        load({"OLLAMA_HOST": text})


# Variable, text, the field and its value.
GOOD: list[tuple[str, str, str, Any]] = [
    ("OLLAMA_MODELS", "/srv/models", "models", Path("/srv/models")),
    ("OLLAMA_MODELS", " '/srv/my models' ", "models", Path("/srv/my models")),
    ("OLLAMA_MODELS", "~/m", "models", Path.home() / "m"),
    ("OLLAMA_KEEP_ALIVE", "10m", "keep_alive", 600.0),
    ("OLLAMA_KEEP_ALIVE", "1h30m", "keep_alive", 5400.0),
    ("OLLAMA_KEEP_ALIVE", "90", "keep_alive", 90.0),
    ("OLLAMA_KEEP_ALIVE", "0.5", "keep_alive", 0.5),
    ("OLLAMA_KEEP_ALIVE", "0", "keep_alive", 0.0),
    ("OLLAMA_KEEP_ALIVE", "-1", "keep_alive", math.inf),
    ("OLLAMA_KEEP_ALIVE", "-1m", "keep_alive", math.inf),
    ("OLLAMA_CONTEXT_LENGTH", "8192", "context_length", 8192),
    ("OLLAMA_CONTEXT_LENGTH", "0", "context_length", None),
    ("OLLAMA_NUM_PARALLEL", "4", "num_parallel", 4),
    ("OLLAMA_NUM_PARALLEL", "0", "num_parallel", None),
    ("OLLAMA_MAX_LOADED_MODELS", "2", "max_loaded_models", 2),
    ("OLLAMA_MAX_LOADED_MODELS", "0", "max_loaded_models", None),
    ("OLLAMA_MAX_QUEUE", "7", "max_queue", 7),
    ("OLLAMA_LOAD_TIMEOUT", "30s", "load_timeout", 30.0),
    ("OLLAMA_LOAD_TIMEOUT", "0", "load_timeout", None),
    ("OLLAMA_LOAD_TIMEOUT", "-1", "load_timeout", None),
    ("TROPA_SERVE_TIMEOUT", "45", "serve_timeout", 45.0),
    ("TROPA_SERVE_TIMEOUT", "0s", "serve_timeout", None),
    ("OLLAMA_ORIGINS", "http://a, https://b:*,,", "origins", ("http://a", "https://b:*")),
    ("OLLAMA_DEBUG", "1", "debug", 1),
    ("OLLAMA_DEBUG", "true", "debug", 1),
    ("OLLAMA_DEBUG", "2", "debug", 2),
    ("OLLAMA_DEBUG", "-4", "debug", -4),
    ("OLLAMA_DEBUG", "false", "debug", 0),
    ("OLLAMA_FLASH_ATTENTION", "1", "flash_attention", True),
    ("OLLAMA_FLASH_ATTENTION", "Yes", "flash_attention", True),
    ("OLLAMA_NOPRUNE", "on", "noprune", True),
    ("OLLAMA_FLASH_ATTENTION", "False", "flash_attention", False),
    ("OLLAMA_KV_CACHE_TYPE", "Q8_0", "kv_cache_type", "q8_0"),
    ("OLLAMA_GO_TEMPLATE", "1", "go_template", True),
    ("OLLAMA_GPU_OVERHEAD", "1073741824", "gpu_overhead", 1 << 30),
    ("OLLAMA_SCHED_SPREAD", "t", "sched_spread", True),
    ("OLLAMA_NOPRUNE", "TRUE", "noprune", True),
    ("OLLAMA_MAX_TRANSFER_STREAMS", "2", "max_transfer_streams", 2),
    ("TROPA_LLAMA_SERVER", "/opt/llama-server", "llama_server", "/opt/llama-server"),
    ("TROPA_MEMORY_LIMIT", "4GiB", "memory_limit", "4GiB"),
    ("TROPA_STATE", "/var/tropa", "state", Path("/var/tropa")),
    ("XDG_CACHE_HOME", "/var/cache", "state", Path("/var/cache/tropa")),
    ("XDG_CACHE_HOME", "relative", "state", Path.home() / ".cache/tropa"),
    ("TROPA_EXIT_WITH_STDIN", "1", "exit_with_stdin", True),
    ("TROPA_NO_AUTH", "1", "no_auth", True),
    ("TROPA_ACCESS_LOG", "JSON", "access_log", "json"),
    ("TROPA_CLIENT_TIMEOUT", "5s", "client_timeout", 5.0),
    ("TROPA_CLIENT_TIMEOUT", "0", "client_timeout", None),
]


@pytest.mark.parametrize(("name", "text", "field", "value"), GOOD)
def test_what_a_variable_says(name: str, text: str, field: str, value: object) -> None:
    found = getattr(load({name: text}), field)
    assert (type(found), found) == (type(value), value)


BAD = {
    "OLLAMA_HOST": ("a b", "expected"),
    "OLLAMA_KEEP_ALIVE": ("soon", "expected a duration like 5m, 1h30m or a number of seconds"),
    "OLLAMA_CONTEXT_LENGTH": ("4k", "expected a whole number, 0 or more"),
    "OLLAMA_NUM_PARALLEL": ("-1", "expected a whole number, 0 or more"),
    "OLLAMA_MAX_LOADED_MODELS": ("1.5", "expected a whole number, 0 or more"),
    "OLLAMA_MAX_QUEUE": ("0", "expected a whole number, 1 or more"),
    "OLLAMA_LOAD_TIMEOUT": ("nan", "expected a duration"),
    "TROPA_SERVE_TIMEOUT": ("1 minute", "expected a duration"),
    "OLLAMA_DEBUG": ("loud", "expected 0, 1 (debug) or 2"),
    "OLLAMA_FLASH_ATTENTION": ("auto", "expected true or false (1 or 0)"),
    "OLLAMA_KV_CACHE_TYPE": ("q3", "expected one of f16, q8_0, q4_0"),
    "OLLAMA_GPU_OVERHEAD": ("1GiB", "expected a whole number, 0 or more"),
    "OLLAMA_SCHED_SPREAD": ("off", "expected true or false (1 or 0)"),
    "OLLAMA_NOPRUNE": ("2", "expected true or false (1 or 0)"),
    "OLLAMA_MAX_TRANSFER_STREAMS": ("0", "expected a whole number, 1 or more"),
    "TROPA_MEMORY_LIMIT": ("much", ""),
    "TROPA_NO_AUTH": ("no", "expected true or false (1 or 0)"),
    "TROPA_ACCESS_LOG": ("xml", "expected off, text or json"),
    "TROPA_CLIENT_TIMEOUT": ("long", "expected a duration"),
    "TROPA_EXIT_WITH_STDIN": ("2", "expected true or false (1 or 0)"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_a_variable_cannot_say(name: str) -> None:
    text, said = BAD[name]
    if name == "OLLAMA_HOST":
        said = "not a host name"
    with pytest.raises(BadSettings) as caught:
        load({name: text})
    (problem,) = caught.value.problems
    assert problem.startswith(f"{name}={text}: ")
    assert said in problem


def test_all_problems_are_told_together_in_one_order() -> None:
    with pytest.raises(BadSettings) as caught:
        load({name: text for name, (text, _) in reversed(BAD.items())})
    told = [problem.partition("=")[0] for problem in caught.value.problems]
    assert sorted(told) == sorted(BAD)
    with pytest.raises(BadSettings) as again:
        load({name: text for name, (text, _) in BAD.items()})
    assert again.value.problems == caught.value.problems


@pytest.mark.parametrize(
    "name", [*BAD, "OLLAMA_MODELS", "OLLAMA_ORIGINS", "TROPA_LLAMA_SERVER", "TROPA_STATE"]
)
@pytest.mark.parametrize("text", ["", "  ", '""', "''"])
def test_empty_means_unset(name: str, text: str) -> None:
    assert load({name: text}) == load({})


def test_a_quantized_cache_without_flash_attention_is_a_contradiction() -> None:
    """The engine refuses it at each load."""
    with pytest.raises(BadSettings, match="OLLAMA_KV_CACHE_TYPE=q8_0: it needs flash attention"):
        load({"OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_FLASH_ATTENTION": "0"})
    assert load({"OLLAMA_KV_CACHE_TYPE": "q8_0", "OLLAMA_FLASH_ATTENTION": "1"}).kv_cache_type == "q8_0"
    assert load({"OLLAMA_KV_CACHE_TYPE": "bf16", "OLLAMA_FLASH_ATTENTION": "0"}).flash_attention is False


def test_nothing_set_is_the_documented_default() -> None:
    default = Settings()
    assert load({}) == Settings(models=default.models.expanduser(), state=default.state.expanduser())


def test_a_folder_in_the_home_of_nobody_is_a_bad_setting() -> None:
    with pytest.raises(BadSettings, match="OLLAMA_MODELS"):
        load({"OLLAMA_MODELS": "~no-such-user-here/models"})
