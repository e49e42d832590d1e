"""AMD's GPUs in trees such as the amdgpu driver and its compute part show."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.devices.trees import GIB, MIB, Files, tree
from tropa.devices import amd
from tropa.devices.device import DeviceMemory

KFD = "sys/class/kfd/kfd"
CPU_NODE = "cpu_cores_count 16\nsimd_count 0\nunique_id 0\ndrm_render_minor 0"


def gpu(
    node: int, minor: int, *, vram: int, used: int = 0, unique: int = 0, gtt: int = 0, name: str = ""
) -> Files:
    """One GPU: its node, and its render device."""
    properties = (
        f"cpu_cores_count 0\nsimd_count 192\nvendor_id 4098\ndrm_render_minor {minor}\nunique_id {unique}"
    )
    device = f"sys/class/drm/renderD{minor}/device"
    files: Files = {
        f"{KFD}/topology/nodes/{node}/properties": properties,
        f"{KFD}/topology/nodes/{node}/gpu_id": 40000 + node,
        f"{device}/mem_info_vram_total": vram,
        f"{device}/mem_info_vram_used": used,
        f"{device}/mem_info_gtt_total": gtt,
        f"{device}/mem_info_gtt_used": 0,
    }
    return {**files, f"{device}/product_name": name} if name else files


MACHINE = {
    f"{KFD}/topology/nodes/0/properties": CPU_NODE,
    **gpu(1, 129, vram=24 * GIB, used=GIB, unique=0xDEADBEEF, name="Radeon RX 7900 XTX"),
    **gpu(2, 128, vram=4080 * MIB, gtt=16 * GIB),
    **gpu(10, 130, vram=16 * GIB, unique=0xAFFE000000000001),
}


def test_gpus_in_the_order_of_the_compute_driver(tmp_path: Path) -> None:
    """Not of their render devices; and node 10 comes after node 2. A card of 4 GB is still a card."""
    assert amd.memory({}, tree(tmp_path, MACHINE)) == [
        DeviceMemory(
            "rocm:0", 24 * GIB, 23 * GIB, "rocm", "Radeon RX 7900 XTX", handle="GPU-00000000deadbeef"
        ),
        DeviceMemory("rocm:1", 4080 * MIB, 4080 * MIB, "rocm", handle="1"),
        DeviceMemory("rocm:2", 16 * GIB, 16 * GIB, "rocm", handle="GPU-affe000000000001"),
    ]


@pytest.mark.parametrize(
    ("variables", "handles"),
    [
        ({"ROCR_VISIBLE_DEVICES": "2,1"}, ["GPU-affe000000000001", "1"]),
        ({"HIP_VISIBLE_DEVICES": "1"}, ["1"]),
        ({"ROCR_VISIBLE_DEVICES": "1,2", "HIP_VISIBLE_DEVICES": "1"}, ["GPU-affe000000000001"]),
        ({"ROCR_VISIBLE_DEVICES": ""}, []),
    ],
)
def test_the_users_choice_keeps_the_names(
    tmp_path: Path, variables: dict[str, str], handles: list[str]
) -> None:
    found = amd.memory(variables, tree(tmp_path, MACHINE))
    assert [each.handle for each in found] == handles
    assert [each.id for each in found] == [f"rocm:{number}" for number in range(len(found))]


def test_an_integrated_gpu_uses_the_cpus_memory(tmp_path: Path) -> None:
    tree(tmp_path, gpu(1, 128, vram=512 * MIB, used=100 * MIB, gtt=15 * GIB))
    (found,) = amd.memory({}, tmp_path)
    assert found.integrated
    assert (found.total, found.free) == (512 * MIB + 15 * GIB, 412 * MIB + 15 * GIB)


def test_more_used_than_there_is(tmp_path: Path) -> None:
    (found,) = amd.memory({}, tree(tmp_path, gpu(1, 128, vram=8 * GIB, used=9 * GIB)))
    assert (found.total, found.free) == (8 * GIB, 0)


@pytest.mark.parametrize("missing", ["topology/nodes/1/properties", "topology"])
def test_what_may_not_be_seen_is_not_there(tmp_path: Path, missing: str) -> None:
    tree(tmp_path, gpu(1, 128, vram=8 * GIB))
    (tmp_path / KFD / missing).rename(tmp_path / "away")
    assert amd.memory({}, tmp_path) == []


def test_a_gpu_whose_memory_is_unknown_gets_no_model(tmp_path: Path) -> None:
    tree(tmp_path, {**gpu(1, 128, vram=8 * GIB), **gpu(2, 129, vram=8 * GIB)})
    (tmp_path / "sys/class/drm/renderD128/device/mem_info_vram_total").write_text("?\n")
    assert [(each.id, each.handle) for each in amd.memory({}, tmp_path)] == [("rocm:1", "1")]


def test_what_a_process_holds(tmp_path: Path) -> None:
    tree(tmp_path, {**MACHINE, f"{KFD}/proc/7/vram_40002": GIB, f"{KFD}/proc/7/vram_40001": 0})
    assert amd.used_by(7, {}, tmp_path) == {"rocm:1": GIB}
    assert amd.used_by(7, {"ROCR_VISIBLE_DEVICES": "1"}, tmp_path) == {"rocm:0": GIB}
    assert amd.used_by(8, {}, tmp_path) == {}
