"""Folders for tests whose paths must stay short: a socket's may have about a hundred bytes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def short_folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="tt-", dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


NOBODY = 65534


@contextmanager
def without_privilege(*paths: Path) -> Iterator[None]:
    """As a user for whom permissions count: root, as whom tests run in containers, may do everything.

    The folders that lead to `paths` are opened to that user for as long.
    """
    if os.geteuid() != 0:
        yield
        return
    parents = {parent for path in paths for parent in path.parents if parent.stat().st_uid == 0}
    modes = {parent: parent.stat().st_mode for parent in parents}
    for parent, mode in modes.items():
        parent.chmod(mode | 0o055)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        for parent, mode in modes.items():
            parent.chmod(mode)
