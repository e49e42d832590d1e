"""What a check found, in few words; and stores made old enough for it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tropa.library.check import Check, Kind, Report
from tropa.library.library import Library
from tropa.library.prune import YOUNG
from tropa.library.repair import repair


def age(library: Library, seconds: float = 2 * YOUNG) -> None:
    for path in library.store.blobs.folder.iterdir():
        os.utime(path, (time.time() - seconds,) * 2, follow_symlinks=False)


def weights(library: Library, name: str) -> Path:
    blob = library.find(name).weights
    assert blob is not None
    return blob.path


def found(report: Report) -> list[tuple[Kind, tuple[str, ...]]]:
    return [(each.kind, tuple(name.short for name in each.models)) for each in report.findings]


def mended(library: Library, *names: str) -> Report:
    """What a check finds after a repair."""
    check = Check(library, names)
    check.run()
    repair(check)
    return check.run()
