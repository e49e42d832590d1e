"""Programs out of Debian's packages, installed or not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def program(package: str, path: str) -> Path | None:
    """The installed one, or the one at `path` of the package; None where there is no apt-get, or no such package.

    Packages are downloaded and taken apart, not installed: nobody has to be root, and nothing is started.
    """
    if found := shutil.which(Path(path).name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"):
        return Path(found)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tropa-tests"
    made = home / package / path
    if not made.exists() and shutil.which("apt-get") and shutil.which("dpkg-deb"):
        home.mkdir(parents=True, exist_ok=True)
        if _run("apt-get", "download", package, at=home):
            _run("apt-get", "update", at=home)  # a new machine has no lists yet
            _run("apt-get", "download", package, at=home)
        for archive in home.glob(f"{package}_*.deb"):
            _run("dpkg-deb", "-x", str(archive), str(home / package), at=home)
    return made if made.exists() else None


def _run(*words: str, at: Path) -> int:
    return subprocess.run(words, cwd=at, capture_output=True, timeout=120, check=False).returncode
