from __future__ import annotations

import math
from typing import Any

import pytest

from tropa.devices.budget import BadBudget
from tropa.runners.policy import policy
from tropa.scheduler.machine import CPU, Device, Kind
from tropa.settings import Settings

GIB = 1 << 30
HOST = Device(CPU, Kind.CPU, 64 * GIB, 60 * GIB)


def gpus(*sizes: float) -> list[Device]:
    return [
        Device(f"cuda:{n}", Kind.GPU, int(size * GIB), int(size * GIB), "cuda")
        for n, size in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("sizes", "context"),
    [
        ((), 4096),
        ((8,), 4096),
        ((22.9,), 4096),
        ((24,), 32768),
        ((16, 16), 32768),
        ((48,), 262144),
        ((24, 24), 262144),
    ],
)
def test_the_context_follows_from_the_memory_of_all_gpus(sizes: tuple[float, ...], context: int) -> None:
    found = policy(Settings(), [HOST, *gpus(*sizes)])
    assert (found.default_context, found.small_context) == (context, 4096)


def test_what_is_left_alone_on_a_gpu_does_not_count() -> None:
    assert policy(Settings(gpu_overhead=4 * GIB), [HOST, *gpus(24)]).default_context == 4096


def test_a_context_of_the_users_own_is_never_lowered() -> None:
    found = policy(Settings(context_length=1024), [HOST, *gpus(80)])
    assert (found.default_context, found.small_context) == (1024, 1024)


@pytest.mark.parametrize(
    ("setting", "value", "field"),
    [
        ("max_loaded_models", 7, "max_loaded"),
        ("num_parallel", 2, "num_parallel"),
        ("max_queue", 3, "max_queue"),
        ("keep_alive", math.inf, "keep_alive"),
        ("gpu_overhead", 5, "gpu_overhead"),
        ("sched_spread", True, "spread"),
    ],
)
def test_settings_go_through(setting: str, value: Any, field: str) -> None:
    assert getattr(policy(Settings(**{setting: value}), [HOST]), field) == value


def test_without_settings_all_is_automatic() -> None:
    found = policy(Settings(), [HOST])
    assert (found.max_loaded, found.num_parallel, found.max_queue, found.keep_alive) == (
        None,
        None,
        512,
        300.0,
    )
    assert (found.memory_limit, found.device_limits) == (None, ())


def test_a_budget_is_in_bytes_of_this_machine() -> None:
    assert policy(Settings(memory_limit="25%"), [HOST]).memory_limit == 16 * GIB
    found = policy(Settings(memory_limit="8GiB,cuda:0=50%"), [HOST, *gpus(10)])
    assert (found.memory_limit, found.device_limits) == (8 * GIB, (("cuda:0", 5 * GIB),))


def test_a_budget_for_what_is_not_there_is_an_error() -> None:
    with pytest.raises(BadBudget, match="cuda:3"):
        policy(Settings(memory_limit="cuda:3=1GiB"), [HOST])
