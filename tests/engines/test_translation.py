"""The two ways to say a launch mean the same: the wheel's parameters, and llama-server's command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import llama_server
from tests.support.bundled import TINY
from tropa.engines import executable, host
from tropa.engines.engine import QUIET_THREADS, Engine, environment
from tropa.engines.launch import Address, Launch
from tropa.engines.wheel import WheelEngine
from tropa.runners.runner import Runner

SOCKET = Address(socket=Path("/run/x.sock"))
PLAIN = Launch(model=Path("/m.gguf"), address=SOCKET, alias="tropa-1", context=512, slots=4, threads=2)


def plain(value: Any) -> Any:
    """An object of the wheel's as plain data."""
    if value is None or isinstance(value, str | int | float | Enum):
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    fields = {name: getattr(value, name) for name in dir(value) if not name.startswith("_")}
    return {name: plain(field) for name, field in fields.items() if not callable(field)}


def both(launch: Launch) -> tuple[Any, Any]:
    found = [
        plain(host.parameters(launch.to_json())),
        plain(llama_server.parameters(executable.arguments(launch))),
    ]
    if launch.address.socket:  # where nobody listens on a port, its number means nothing
        for each in found:
            del each["port"]
    return found[0], found[1]


launches = st.builds(
    Launch,
    model=st.just(Path("/blobs/sha256-aa")),
    address=st.one_of(
        st.just(SOCKET), st.builds(Address, socket=st.none(), port=st.integers(1, 65535), api_key=st.just(""))
    ),
    alias=st.just("tropa-1"),
    context=st.integers(4, 1 << 20),
    slots=st.integers(1, 32),
    threads=st.integers(1, 256),
    batch=st.integers(1, 8192),
    gpu_layers=st.none() | st.integers(0, 200),
    main_gpu=st.none() | st.integers(0, 7),
    tensor_split=st.lists(st.integers(0, 80).map(float), max_size=8).map(tuple),
    cache_type=st.sampled_from(["f16", "f32", "bf16", "q8_0", "q4_0"]),
    flash_attention=st.none() | st.booleans(),
    mmap=st.none() | st.booleans(),
    embedding=st.booleans(),
    rerank=st.booleans(),
    cache_ram_mib=st.integers(0, 1 << 20),
    checkpoints=st.integers(0, 64),
    projector=st.none() | st.just(Path("/blobs/sha256-bb")),
    adapters=st.lists(st.sampled_from([Path("/blobs/cc"), Path("/blobs/dd")]), max_size=2).map(tuple),
    save_dir=st.none() | st.just(Path("/caches")),
)


@settings(max_examples=30, deadline=None)
@given(launches)
def test_the_wheel_and_an_executable_are_told_the_same(launch: Launch) -> None:
    ours, theirs = both(launch)
    assert ours == theirs


@pytest.mark.parametrize(
    ("changed", "name", "value"),
    [
        ({"context": 1024}, "n_ctx", 4096),
        ({"slots": 2}, "n_parallel", 2),
        ({"batch": 64}, "n_ubatch", 64),
        ({"threads": 7}, "cpuparams_batch", None),
        ({"cache_type": "q8_0"}, "cache_type_v", None),
        ({"embedding": True}, "embedding", True),
        ({"embedding": True, "rerank": True}, "pooling_type", None),
        ({"flash_attention": False}, "flash_attn_type", None),
        ({"gpu_layers": 0}, "n_gpu_layers", 0),
        ({"cache_ram_mib": 9}, "cache_ram_mib", 9),
        ({"checkpoints": 5}, "n_ctx_checkpoints", 5),
        ({"mmap": False}, "load_mode", None),
    ],
)
def test_each_parameter_arrives(changed: dict[str, Any], name: str, value: Any) -> None:
    """So that two translators that both forget one do not agree by accident."""
    before, after = both(PLAIN)[0][name], both(replace(PLAIN, **changed))[0][name]
    assert before != after
    assert value is None or after == value


async def test_both_engines_report_the_same_of_themselves(
    engine: Engine, launch: Callable[..., Launch], no_child_left: None
) -> None:
    asked = {"context": 512, "slots": 3, "alias": "tropa-same", "cache_ram_mib": 0}
    seen = []
    for each in (WheelEngine(), engine):
        runner = await Runner.load(each, launch(**asked))
        props = await runner.call("GET", "/props")
        slots = await runner.call("GET", "/slots")
        await runner.stop()
        for changing in ("build_info", "media_marker"):
            del props[changing]
        seen.append((props, slots))
    assert seen[0] == seen[1]
    assert seen[0][0]["model_path"] == str(TINY)


def test_threads_are_told_not_to_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in QUIET_THREADS:
        monkeypatch.delenv(name, raising=False)
    assert environment(PLAIN).items() >= QUIET_THREADS.items()


def test_what_the_user_says_of_threads_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOMP_SPINCOUNT", "5000")
    assert "GOMP_SPINCOUNT" not in environment(PLAIN)


async def test_an_engine_process_has_that_environment(
    engine: Engine, launch: Callable[..., Launch], monkeypatch: pytest.MonkeyPatch, no_child_left: None
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    runner = await Runner.load(engine, launch(environment=(("CUDA_VISIBLE_DEVICES", "GPU-7"),)))
    found = psutil.Process(runner.child.pid).environ()
    await runner.stop()
    assert found["GOMP_SPINCOUNT"] == "300"
    assert found["CUDA_VISIBLE_DEVICES"] == "GPU-7"
