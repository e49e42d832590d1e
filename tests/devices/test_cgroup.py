"""Control groups as kernels, systemd and container programs lay them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.devices.trees import GIB, MIB, NO_LIMIT_V1, Files, tree, v1, v2
from tropa.devices import cgroup
from tropa.devices.cgroup import MemoryLimit

USED: Files = {"memory.current": 3 * GIB, "memory.stat": f"anon {GIB}\nfile {2 * GIB}"}


def test_version_2_in_a_container_of_its_own_namespace(tmp_path: Path) -> None:
    tree(tmp_path, v2("/", {"/": {"memory.max": 8 * GIB, "memory.high": "max", **USED}}))
    assert cgroup.memory_limits(tmp_path) == [MemoryLimit(8 * GIB, 3 * GIB)]


def test_page_cache_that_can_be_taken_back_is_not_used(tmp_path: Path) -> None:
    """Mapped weights that were read again are `active_file`: after one model left, nothing would seem free."""
    stat = f"inactive_file {GIB}\nactive_file {2 * GIB}\nslab_reclaimable {MIB}\nshmem {GIB}\nanon {GIB}"
    group: Files = {"memory.max": 8 * GIB, "memory.current": 6 * GIB, "memory.stat": stat}
    tree(tmp_path, v2("/", {"/": group}))
    assert cgroup.memory_limits(tmp_path) == [MemoryLimit(8 * GIB, 3 * GIB - MIB)]


def test_every_group_above_counts(tmp_path: Path) -> None:
    tree(
        tmp_path,
        v2(
            "/user.slice/user-1000.slice/app.scope",
            {
                "/user.slice": {"memory.max": 6 * GIB, **USED},
                "/user.slice/user-1000.slice": {"memory.max": "max", **USED},
                "/user.slice/user-1000.slice/app.scope": {
                    "memory.max": "max",
                    "memory.high": 4 * GIB,
                    "memory.current": GIB,
                    "memory.stat": "",
                },
            },
        ),
    )
    assert cgroup.memory_limits(tmp_path) == [MemoryLimit(4 * GIB, GIB), MemoryLimit(6 * GIB, 3 * GIB)]


@pytest.mark.parametrize("mounted", ["/docker/abc", "/docker/abc/", "/../..", "/"])
def test_a_path_that_leads_out_of_the_mount_ends_at_the_mount(tmp_path: Path, mounted: str) -> None:
    """Version 1 in Docker: the process is told its place on the host, and sees its own group as the root."""
    path = "/docker/abc" if mounted.startswith("/docker") else "/../other"
    root = {
        "memory.limit_in_bytes": 2 * GIB,
        "memory.usage_in_bytes": GIB,
        "memory.stat": "total_inactive_file 5",
    }
    tree(tmp_path, v1(path, {"/": root}, mounted=mounted))
    assert cgroup.memory_limits(tmp_path) == [MemoryLimit(2 * GIB, GIB - 5)]


def test_a_group_made_inside_a_container(tmp_path: Path) -> None:
    inner = {"memory.limit_in_bytes": GIB, "memory.usage_in_bytes": MIB, "memory.stat": ""}
    outer = {"memory.limit_in_bytes": 2 * GIB, "memory.usage_in_bytes": 9 * MIB, "memory.stat": ""}
    tree(tmp_path, v1("/docker/abc/job", {"/": outer, "/job": inner}, mounted="/docker/abc"))
    assert cgroup.memory_limits(tmp_path) == [MemoryLimit(GIB, MIB), MemoryLimit(2 * GIB, 9 * MIB)]


def test_version_1_tells_of_limits_above_what_is_mounted(tmp_path: Path) -> None:
    group: Files = {
        "memory.limit_in_bytes": NO_LIMIT_V1,
        "memory.usage_in_bytes": 3 * GIB,
        "memory.stat": f"total_inactive_file {GIB}\ntotal_active_file {GIB}\nhierarchical_memory_limit {4 * GIB}",
    }
    tree(tmp_path, v1("/", {"/": group}))
    assert cgroup.memory_limits(tmp_path) == [MemoryLimit(4 * GIB, GIB)]


@pytest.mark.parametrize("limit", [NO_LIMIT_V1, "-1", "", "what?"])
def test_version_1_without_a_limit(tmp_path: Path, limit: str | int) -> None:
    group: Files = {
        "memory.limit_in_bytes": limit,
        "memory.usage_in_bytes": GIB,
        "memory.stat": f"hierarchical_memory_limit {NO_LIMIT_V1}",
    }
    tree(tmp_path, v1("/system.slice", {"/": group, "/system.slice": group}))
    assert cgroup.memory_limits(tmp_path) == []


@pytest.mark.parametrize("limit", ["max", "", "what?"])
def test_version_2_without_a_limit(tmp_path: Path, limit: str) -> None:
    tree(tmp_path, v2("/a", {"/a": {"memory.max": limit, **USED}}))
    assert cgroup.memory_limits(tmp_path) == []


def test_a_group_that_was_removed_is_no_reason_to_stop(tmp_path: Path) -> None:
    tree(
        tmp_path, v2("/gone/with/the/wind", {"/": {"cgroup.procs": ""}, "/gone": {"memory.max": GIB, **USED}})
    )
    assert cgroup.memory_limits(tmp_path) == [MemoryLimit(GIB, 3 * GIB)]


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A group may be called by any bytes, colons and blanks too; blanks are octal in the list of mounts."""
    files = v2("/a:b c", {"/a:b c": {"memory.max": GIB, **USED}})
    mountinfo = str(files["proc/self/mountinfo"]).replace("/sys/fs/cgroup", r"/sys/fs/c\040group")
    tree(tmp_path, {**files, "proc/self/mountinfo": mountinfo})
    (tmp_path / "sys/fs/cgroup").rename(tmp_path / "sys/fs/c group")
    assert cgroup.memory_limits(tmp_path) == [MemoryLimit(GIB, 3 * GIB)]
    (tmp_path / "proc/self/cgroup").write_bytes(b"0::/\xff\xfe\n")
    assert cgroup.memory_limits(tmp_path) == []


@pytest.mark.parametrize("file", ["proc/self/cgroup", "proc/self/mountinfo"])
def test_without_proc_there_are_no_limits(tmp_path: Path, file: str) -> None:
    tree(tmp_path, v2("/", {"/": {"memory.max": GIB, "cpu.max": "100 100", **USED}}))
    (tmp_path / file).unlink()
    assert cgroup.memory_limits(tmp_path) == []
    assert cgroup.cpu_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("max 100000", None),
        ("150000 100000", 1.5),
        ("50000 100000", 0.5),
        ("", None),
        ("x y", None),
        ("1 0", None),
    ],
)
def test_processor_time_in_version_2(tmp_path: Path, text: str, quota: float | None) -> None:
    tree(tmp_path, v2("/a/b", {"/a": {"cpu.max": "800000 100000"}, "/a/b": {"cpu.max": text}}))
    assert cgroup.cpu_quota(tmp_path) == (8.0 if quota is None else quota)


@pytest.mark.parametrize(("quota", "cores"), [(250000, 2.5), (-1, None), (0, None)])
def test_processor_time_in_version_1(tmp_path: Path, quota: int, cores: float | None) -> None:
    group: Files = {"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": 100000}
    tree(tmp_path, v1("/docker/abc", {"/": group}, controller="cpu,cpuacct", mounted="/docker/abc"))
    assert cgroup.cpu_quota(tmp_path) == cores
    assert cgroup.memory_limits(tmp_path) == []
