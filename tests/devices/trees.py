"""Small /proc and /sys trees, as kernels show them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
Files = dict[str, object]
"""Paths below the root, and what stands in the files."""
NO_LIMIT_V1 = 9223372036854771712  # 2^63, rounded down to pages


def tree(root: Path, files: Mapping[str, object]) -> Path:
    """Write each file with its line end; `root` again."""
    for name, content in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        text = str(content)
        file.write_text(text if text.endswith("\n") else text + "\n")
    return root


def meminfo(**kib: int) -> Files:
    """`/proc/meminfo` with these lines, in KiB."""
    lines = [f"{name + ':':<16}{size:>8} kB" for name, size in kib.items()]
    return {"proc/meminfo": "\n".join([*lines, "HugePages_Total:       0"])}


def v2(path: str, groups: Mapping[str, Mapping[str, object]], *, mounted: str = "/") -> Files:
    """Version 2: this process is in `path`; `groups` are folders under the mount, which shows the group `mounted`."""
    mount = f"30 23 0:26 {mounted} /sys/fs/cgroup rw,nosuid,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate"
    return {
        "proc/self/cgroup": f"0::{path}",
        "proc/self/mountinfo": mount,
        "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids",
        **_files("sys/fs/cgroup", groups),
    }


def v1(
    path: str,
    groups: Mapping[str, Mapping[str, object]],
    *,
    controller: str = "memory",
    mounted: str = "/",
) -> Files:
    """Version 1, one mount for each controller, and version 2 beside it without any, as systemd mounts them."""
    other = "cpu,cpuacct" if controller == "memory" else "memory"
    mounts = [
        "31 23 0:28 / /sys/fs/cgroup ro,nosuid,nodev,noexec - tmpfs tmpfs ro,mode=755",
        f"32 31 0:29 {mounted} /sys/fs/cgroup/{controller} rw,relatime shared:9 - cgroup cgroup rw,{controller}",
        f"33 31 0:30 {mounted} /sys/fs/cgroup/{other} rw,relatime shared:10 master:3 - cgroup cgroup rw,{other}",
        "34 31 0:31 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw",
        "35 31 0:32 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd",
    ]
    return {
        "proc/self/cgroup": f"5:{controller}:{path}\n4:{other}:{path}\n1:name=systemd:/init.scope\n0::/init.scope",
        "proc/self/mountinfo": "\n".join(mounts),
        **_files(f"sys/fs/cgroup/{controller}", groups),
    }


def _files(base: str, groups: Mapping[str, Mapping[str, object]]) -> Files:
    return {
        f"{base}{group.rstrip('/')}/{name}": content
        for group, files in groups.items()
        for name, content in files.items()
    }
