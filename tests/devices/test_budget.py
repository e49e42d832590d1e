"""`TROPA_MEMORY_LIMIT`: how it may be written, and what it comes to on a machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.devices.trees import GIB, MIB
from tropa.devices.budget import Amount, BadBudget, Budget, Limits, parse_budget
from tropa.devices.device import DeviceMemory

CPU = DeviceMemory("cpu", 16 * GIB, 8 * GIB)
CUDA = DeviceMemory("cuda:0", 24 * GIB, 24 * GIB, "cuda")
METAL = DeviceMemory("metal:0", 12 * GIB, 8 * GIB, "metal", integrated=True)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("6GiB", 6 * GIB),
        ("6 gib", 6 * GIB),
        ("6Gi", 6 * GIB),
        ("6G", 6 * GIB),
        ("6GB", 6 * 10**9),
        ("1.5GiB", 3 * GIB // 2),
        ("500MB", 500 * 10**6),
        ("500m", 500 * MIB),
        ("1T", 1024 * GIB),
        ("4096KiB", 4 * MIB),
        ("1073741824", GIB),
        ("1073741824B", GIB),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_budget(text) == Budget(Amount(size))
    assert parse_budget(f" cpu = {text} ").per_device == (("cpu", Amount(size)),)


@pytest.mark.parametrize(("text", "share"), [("50%", 0.5), ("100 %", 1.0), ("12.5%", 0.125)])
def test_shares(text: str, share: float) -> None:
    assert parse_budget(text) == Budget(Amount(share=share))


def test_devices_and_the_whole_can_both_be_limited() -> None:
    found = parse_budget("30GiB, cpu=8GiB, CUDA:0=50%")
    assert found.resolve([CPU, CUDA]) == Limits(30 * GIB, (("cpu", 8 * GIB), ("cuda:0", 12 * GIB)))


def test_a_share_of_all_memory_counts_shared_memory_once() -> None:
    """Apple's GPU lives in the CPU's memory: half of a machine is not three quarters of it."""
    assert parse_budget("50%").resolve([CPU, METAL]) == Limits(8 * GIB, ())
    assert parse_budget("50%").resolve([CPU, CUDA]) == Limits(20 * GIB, ())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "''"),
        ("lots", "'lots'"),
        ("-1GiB", "'-1GiB'"),
        ("6GiB,", "''"),
        ("6XiB", "'6XiB'"),
        ("1e9", "'1e9'"),
        ("0", "'0'"),
        ("1000", "'1000'"),
        ("2000000T", "'2000000T'"),
        ("9" * 400, "inf bytes"),
        ("0%", "'0%'"),
        ("101%", "'101%'"),
        ("-5%", "'-5%'"),
        ("6GiB,7GiB", "'7GiB'"),
        ("cpu=1GiB,CPU=2GiB", "'CPU=2GiB'"),
        ("gpu=1GiB", "'gpu'"),
        ("cuda=1GiB", "'cuda'"),
        ("cuda:=1GiB", "'cuda:'"),
        ("=1GiB", "''"),
        ("cpu=", "''"),
        ("\u0666GiB", "'\u0666GiB'"),
    ],
)
def test_what_makes_no_sense_is_named_with_what_is_allowed(text: str, named: str) -> None:
    with pytest.raises(BadBudget) as caught:
        parse_budget(text)
    assert named in str(caught.value)
    assert "expected a size like 6GiB" in str(caught.value)


def test_a_device_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(BadBudget, match="names the device cuda:1; this machine has cpu, cuda:0"):
        parse_budget("cuda:1=1GiB").resolve([CPU, CUDA])


@given(st.text())
def test_no_text_does_harm(text: str) -> None:
    try:
        found = parse_budget(text)
    except BadBudget:
        return
    assert found.whole or found.per_device


AMOUNTS = st.one_of(
    st.integers(1 << 20, (1 << 50)).map(lambda size: (str(size), Amount(size))),
    st.integers(1, 1000).map(lambda gib: (f"{gib}GiB", Amount(gib * GIB))),
    st.integers(1, 100).map(lambda percent: (f"{percent}%", Amount(share=percent / 100))),
)


@given(st.one_of(st.none(), AMOUNTS), st.dictionaries(st.sampled_from(["cpu", "cuda:0", "rocm:1"]), AMOUNTS))
def test_what_is_written_is_what_is_meant(
    whole: tuple[str, Amount] | None, devices: dict[str, tuple[str, Amount]]
) -> None:
    entries = [f"{device}={text}" for device, (text, _) in devices.items()] + ([whole[0]] if whole else [])
    if not entries:
        return
    found = parse_budget(",".join(entries))
    assert found.whole == (whole[1] if whole else None)
    assert dict(found.per_device) == {device: amount for device, (_, amount) in devices.items()}
    machine = [CPU, CUDA, DeviceMemory("rocm:1", GIB, GIB, "rocm")]
    limits = found.resolve(machine)
    for device, limit in limits.per_device:
        if (share := devices[device][1].share) is not None:
            size = next(each.total for each in machine if each.id == device)
            assert 0 <= limit <= size
            assert abs(limit - size * share) < 1
    if whole and whole[1].share is not None:
        assert limits.total is not None
        assert limits.total <= 41 * GIB
