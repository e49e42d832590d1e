"""What was typed before, kept in a file between sessions: the newest entries, one a line, for the user only."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

NEWEST = 100


def history_file() -> Path | None:
    """None for a user without a home, as in some containers."""
    try:
        return Path("~/.ollama/history").expanduser()
    except RuntimeError:
        return None


def read(path: Path | None) -> list[str]:
    """Nothing if there is no file or it can't be read: a chat works without."""
    if path is None:
        return []
    try:
        return path.read_text("utf-8", "replace").split("\n")[:-1][-NEWEST:]
    except OSError:
        return []


def added(entries: list[str], line: str) -> list[str]:
    """The entries after `line` was typed. Those of several lines would come back as several, so they stay out."""
    if not line.strip() or "\n" in line or entries[-1:] == [line]:
        return entries
    return [*entries, line][-NEWEST:]


def remember(path: Path | None, line: str) -> None:
    """Adds to what is in the file by now: another chat may have written to it."""
    write(path, added(read(path), line))


def write(path: Path | None, entries: list[str]) -> None:
    """Replaces the file as a whole. A folder that can't be written to only costs the history."""
    if path is None:
        return
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix="history-")  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.writelines(f"{entry}\n" for entry in entries)
            Path(partial).replace(path)
        finally:
            Path(partial).unlink(missing_ok=True)
