"""Settings and options that make no sense: each is named, with what is allowed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.concurrency.conftest import Serve
from tests.concurrency.server import Client, Server
from tests.support.bundled import questions

COUNT = "expected a whole number"
FLAG = "expected true or false"
DURATION = "expected a duration like 5m"
BAD = {
    "OLLAMA_HOST": ("ftp://here", "expected an address like"),
    "OLLAMA_KEEP_ALIVE": ("soon", DURATION),
    "OLLAMA_CONTEXT_LENGTH": ("-5", COUNT),
    "OLLAMA_NUM_PARALLEL": ("many", COUNT),
    "OLLAMA_MAX_LOADED_MODELS": ("2.5", COUNT),
    "OLLAMA_MAX_QUEUE": ("endless", COUNT),
    "OLLAMA_LOAD_TIMEOUT": ("nan", DURATION),
    "TROPA_SERVE_TIMEOUT": ("5 minutes", DURATION),
    "OLLAMA_DEBUG": ("loud", "expected 0, 1 (debug) or 2"),
    "OLLAMA_FLASH_ATTENTION": ("maybe", FLAG),
    "OLLAMA_KV_CACHE_TYPE": ("q3_0", "expected one of f16, q8_0"),
    "OLLAMA_GPU_OVERHEAD": ("1GiB", COUNT),
    "OLLAMA_SCHED_SPREAD": ("yes please", FLAG),
    "OLLAMA_NOPRUNE": ("2", FLAG),
    "TROPA_MEMORY_LIMIT": ("6XiB", "expected a size like 6GiB"),
    "TROPA_EXIT_WITH_STDIN": ("off", FLAG),
}


def refusal(**settings: str) -> str:
    """What `tropa serve` says when it will not start with these."""
    done = subprocess.run(
        [sys.executable, "-m", "tropa", "serve"],
        env={**os.environ, "OLLAMA_HOST": "127.0.0.1:0", **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_values_that_cannot_be_read_are_reported_together() -> None:
    said = refusal(**{name: value for name, (value, _) in BAD.items()})
    lines = said.splitlines()
    assert len(lines) == len(BAD), said
    for line, (name, (value, allowed)) in zip(lines, BAD.items(), strict=True):
        assert line.startswith(f"Error: {name}={value}: ")
        assert allowed in line


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        (
            "TROPA_MEMORY_LIMIT",
            "cuda:7=1GiB",
            "TROPA_MEMORY_LIMIT names the device cuda:7; this machine has cpu",
        ),
        (
            "TROPA_LLAMA_SERVER",
            "/no/such/engine",
            "TROPA_LLAMA_SERVER=/no/such/engine: there is no such executable",
        ),
        ("OLLAMA_ORIGINS", "http://*.*", "OLLAMA_ORIGINS: 'http://*.*' has more than one '*'"),
    ],
)
def test_values_that_this_machine_cannot_meet(name: str, value: str, said: str) -> None:
    assert said in refusal(**{name: value})


@pytest.fixture(scope="module")
def server(serve: Serve) -> Iterator[Server]:
    with serve() as server:
        yield server


@pytest.mark.parametrize("value", [0, -1, -(10**30), (1 << 27) + 1, 10**15, 10**30])
async def test_a_context_that_cannot_be(client: Client, value: int) -> None:
    body = {
        "prompt": "?",
        "input": "?",
        "messages": [{"role": "user", "content": "?"}],
        "options": {"num_ctx": value},
    }
    for path in ("/api/generate", "/api/chat", "/api/embed"):
        status, text = await client.refused(path, model="tiny", **body)
        assert status == 400
        assert re.match(r'option "num_ctx" is (\S+: allowed are 1 to|out of range: )', text), text
    assert await client.running() == {}


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        ("num_batch", 0, "1 to 65536"),
        ("num_batch", 1 << 20, "1 to 65536"),
        ("num_thread", -2, "0 to 1024"),
        ("num_thread", 4096, "0 to 1024"),
        ("main_gpu", -1, "0 to 127"),
        ("main_gpu", 128, "0 to 127"),
    ],
)
async def test_options_out_of_range(client: Client, option: str, value: int, allowed: str) -> None:
    told = {option: value}
    status, text = await client.refused("/api/generate", model="tiny", prompt="?", options=told)
    assert (status, text) == (400, f'option "{option}" is {value}: allowed are {allowed}')


@pytest.mark.parametrize("option", ["num_ctx", "num_gpu", "num_batch", "main_gpu"])
@pytest.mark.parametrize("value", ["4096", True, [4096], {}])
async def test_options_of_another_type(client: Client, option: str, value: object) -> None:
    answer = await client.refused("/api/generate", model="tiny", prompt="?", options={option: value})
    assert answer == (500, f'option "{option}" must be of type integer')


async def test_layers_on_gpus_that_are_not_there(server: Server, client: Client) -> None:
    """Not an error: as many layers as there are GPUs for. Asking twice loads once."""
    since = len(server.log)
    for layers in (33, 33, 999, -1, None):
        wish = {} if layers is None else {"num_gpu": layers}
        assert await client.chat("tiny", questions()[0].question, **wish) == questions()[0].answer
    assert server.loads("tiny", since) == 1


@pytest.mark.parametrize("context", [1, 4])
async def test_the_least_context(client: Client, context: int) -> None:
    """It can be loaded; a prompt that does not fit is told both numbers, and not cut in silence."""
    await client.load("tiny", num_ctx=context)
    status, text = await client.refused(
        "/api/generate", model="tiny", prompt=questions()[0].question, options={"num_ctx": context}
    )
    assert status == 400
    assert "(4 tokens)" in text
