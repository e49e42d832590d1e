"""`CUDA_VISIBLE_DEVICES` and its kin: each runtime's own rules, as its documentation and its source have them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tropa.devices import visible
from tropa.devices.device import DeviceMemory


@dataclass(frozen=True)
class Gpu:
    uuid: str


A, B, C = GPUS = [Gpu("GPU-8932f937-d72c"), Gpu("GPU-8932aaaa-0000"), Gpu("GPU-11112222-3333")]


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (None, [A, B, C]),
        ("", []),
        ("0", [A]),
        ("2,1", [C, B]),
        (" 1 , 2 ", [B, C]),
        ("0,2,-1,1", [A, C]),  # NVIDIA's own example
        ("-1", []),
        ("3", []),
        ("1,3,0", [B]),
        ("NoDevFiles", []),
        ("none", []),
        ("1,,2", [B]),
        ("1,", [B]),
        ("+1", [B]),
        ("01", [B]),
        ("1gpu2,2ampere", [B, C]),  # a number ends where its digits end
        ("0,0", []),  # named twice: nothing at all
        ("2,1,2", []),
        ("GPU-8932f937-d72c", [A]),
        ("GPU-8932f", [A]),
        ("GPU-8932", []),  # which of two?
        ("GPU-1,GPU-8932a", [C, B]),
        ("GPU-8932f,0", []),
        ("gpu-1", []),
        ("GPU-unknown,0", []),
        ("2,GPU-8932a", [C, B]),
        ("\u00b2", []),  # a digit to Python, to nobody else
    ],
)
def test_cuda(value: str | None, left: list[Gpu]) -> None:
    environ = {} if value is None else {"CUDA_VISIBLE_DEVICES": value}
    assert visible.cuda(GPUS, {**environ, "HIP_VISIBLE_DEVICES": "0"}) == left


X, Y, Z = CARDS = [Gpu("GPU-00000000deadbeef"), Gpu(""), Gpu("GPU-00000000deadb000")]


@pytest.mark.parametrize(
    ("rocr", "hip", "left"),
    [
        (None, None, [X, Y, Z]),
        ("", None, []),
        ("1", None, [Y]),
        ("2,0", None, [Z, X]),
        ("0x2, 01", None, [Z, Y]),  # as C reads numbers
        ("0,", None, [X]),
        ("0,0,1", None, [X]),
        ("0,9,1", None, [X]),
        ("-1,0", None, []),
        ("1abc", None, []),
        ("gpu-00000000deadbeef", None, [X]),
        ("GPU-00000000deadbe,2", None, [X, Z]),
        ("GPU-00000000deadb", None, []),  # which of two?
        ("GPU-", None, []),
        ("GPU-XX", None, []),
        (None, "", [X, Y, Z]),
        (None, "1", [Y]),
        (None, "2,2,0", [Z, X]),
        (None, "0,-1,1", [X]),
        (None, "01", []),
        (None, "GPU-00000000deadb", [X]),
        ("2,1", "0", [Z]),  # HIP chooses among those that are left
        ("2,1", "1,0", [Y, Z]),
        ("2", "1", []),
    ],
)
def test_rocm(rocr: str | None, hip: str | None, left: list[Gpu]) -> None:
    environ = {"ROCR_VISIBLE_DEVICES": rocr, "HIP_VISIBLE_DEVICES": hip}
    assert visible.rocm(CARDS, {name: value for name, value in environ.items() if value is not None}) == left


def test_hip_listens_to_others_names_when_its_own_is_unset() -> None:
    assert visible.rocm(CARDS, {"CUDA_VISIBLE_DEVICES": "2"}) == [Z]
    assert visible.rocm(CARDS, {"GPU_DEVICE_ORDINAL": "1"}) == [Y]
    assert visible.rocm(CARDS, {"HIP_VISIBLE_DEVICES": "0", "CUDA_VISIBLE_DEVICES": "2"}) == [X]
    assert visible.rocm(CARDS, {"HIP_VISIBLE_DEVICES": "", "CUDA_VISIBLE_DEVICES": "2"}) == [Z]


VALUES = st.one_of(
    st.text(),
    st.lists(st.sampled_from(["0", "1", "2", "-1", "GPU-8932f", "GPU-1", "x", ""])).map(",".join),
)


@given(VALUES, VALUES)
def test_no_value_does_harm(one: str, two: str) -> None:
    environ = {"CUDA_VISIBLE_DEVICES": one, "ROCR_VISIBLE_DEVICES": one, "HIP_VISIBLE_DEVICES": two}
    for left in (visible.cuda(GPUS, environ), visible.rocm(GPUS, environ)):
        assert len(set(left)) == len(left) <= len(GPUS)


def gpu(library: str, number: int, handle: str) -> DeviceMemory:
    return DeviceMemory(f"{library}:{number}", 8, 8, library, handle=handle)


MACHINE = [
    DeviceMemory("cpu", 8, 8),
    *(gpu("cuda", number, each.uuid) for number, each in enumerate(GPUS)),
    *(gpu("rocm", number, each.uuid or str(number)) for number, each in enumerate(CARDS)),
]


@given(st.permutations(MACHINE[1:4]).flatmap(lambda gpus: st.integers(0, 3).map(lambda count: gpus[:count])))
def test_a_process_sees_the_chosen_nvidia_gpus_in_their_order(chosen: list[DeviceMemory]) -> None:
    shown = visible.cuda(GPUS, visible.showing(chosen, MACHINE))
    assert [each.uuid for each in shown] == [each.handle for each in chosen]


@given(
    st.permutations(range(3)).flatmap(lambda order: st.integers(0, 3).map(lambda count: order[:count])),
    st.sampled_from(["", "1", "0,2"]),
)
def test_a_process_sees_the_chosen_amd_gpus_whatever_the_user_set(numbers: list[int], user: str) -> None:
    """What the child inherits from the user chose among all; ours must win."""
    inherited = {"HIP_VISIBLE_DEVICES": user, "CUDA_VISIBLE_DEVICES": user, "GPU_DEVICE_ORDINAL": user}
    chosen = [MACHINE[4 + number] for number in numbers]
    shown = visible.rocm(CARDS, inherited | visible.showing(chosen, MACHINE[:1] + MACHINE[4:]))
    assert shown == [CARDS[number] for number in numbers]


def test_a_model_on_the_cpu_opens_no_gpu() -> None:
    shown = visible.showing([], MACHINE)
    assert visible.cuda(GPUS, shown) == []
    assert visible.rocm(CARDS, shown) == []


def test_what_has_no_name_is_not_spoken_of() -> None:
    assert visible.showing([], MACHINE[:1]) == {}
    metal = DeviceMemory("metal:0", 8, 8, "metal", integrated=True)
    assert visible.showing([metal], [*MACHINE[:1], metal]) == {}
