"""What happens to the store once, at start: leave no leftovers of crashes, and no blobs that nobody uses.

Young files are spared, because another process may be between writing a blob and naming it in a manifest
without having claimed it (an upload, or the reference itself working on the same folder). Unfinished
downloads are spared for a week: the reference drops them after an hour, and with them somebody's night of
downloading.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tropa.library import disk
from tropa.library.digest import Digest, InvalidDigest
from tropa.library.errors import StoreUnusable
from tropa.library.lock import try_lock
from tropa.library.store import Store

CORRUPT = "corrupt manifests detected, skipping prune operation.  Re-pull or delete to clear"
YOUNG = 3600.0
UNLOCKED = 60.0
"""Seconds after which a temporary file of ours that nobody has locked is a leftover: its writer locks it in the
moment it makes it. It may be as large as a model, so the room is wanted back before the hour is over."""
PARTIAL_KEPT = 7 * 24 * 3600.0
PARTIAL = re.compile(r"sha256-[0-9a-fA-F]{64}-partial(-\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was found and done; `warnings` are for the log."""

    total: int = 0
    removed: int = 0
    freed: int = 0
    warnings: tuple[str, ...] = ()


def prune(store: Store, *, unused: bool = True, now: Callable[[], float] = time.time) -> Pruned:
    """Tidy the store. With `unused` False (`OLLAMA_NOPRUNE`) only what a crashed write left is removed."""
    with disk.usable(store.root):
        disk.make(store.root)
        with store.lock.held():
            _remove_unfinished_manifests(store)
            _rename_old_layout(store.blobs.folder)
            scan = store.scan()
            warnings = list(scan.warnings)
            needed: set[Digest] = set()
            if unused and (damaged := list(store.damaged(scan))):
                warnings += [*damaged, CORRUPT]
                unused = False
            if unused:
                try:
                    needed = store.mentioned() | store.lock.claimed()
                except StoreUnusable as error:
                    warnings.append(f"not pruning: {error}")
                    unused = False
            total, removed, freed = _sweep(store.blobs.folder, needed, unused, now())
            if unused:
                _remove_empty_folders(store)
    return Pruned(total, removed, freed, tuple(warnings))


def _sweep(folder: Path, needed: set[Digest], unused: bool, now: float) -> tuple[int, int, int]:
    total = removed = freed = 0
    if not folder.is_dir():
        return 0, 0, 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):  # it went away, or is not ours to remove
                if not entry.is_file(follow_symlinks=False):
                    continue
                stat = entry.stat(follow_symlinks=False)
                age = now - stat.st_mtime
                digest = _digest(entry.name)
                if digest is not None:
                    total += 1
                    if not unused or digest in needed or age <= YOUNG:
                        continue
                elif PARTIAL.fullmatch(entry.name):
                    if not unused or age <= PARTIAL_KEPT:
                        continue
                elif not leftover(Path(entry.path), age):
                    continue
                Path(entry.path).unlink()
                removed += 1
                freed += stat.st_blocks * 512 if hasattr(stat, "st_blocks") else stat.st_size
    return total, removed, freed


def _digest(name: str) -> Digest | None:
    try:
        return Digest.parse(name)
    except InvalidDigest:
        return None


def leftover(path: Path, age: float) -> bool:
    """Is a file that is neither a blob nor a partial download what a write left that was never finished?"""
    least = UNLOCKED if path.name.startswith(disk.TEMPORARY) else YOUNG
    return age > least and abandoned(path)


def abandoned(path: Path) -> bool:
    """A writer keeps its temporary file locked for as long as it lives. Nobody's we may open: hands off."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        return try_lock(fd)
    finally:
        os.close(fd)


def _remove_unfinished_manifests(store: Store) -> None:
    """Manifests are written with the lock held. It is ours now, so whatever is unfinished stays so."""
    if store.manifests.is_dir():
        for path in store.manifests.glob(f"{disk.TEMPORARY}*"):
            path.unlink(missing_ok=True)


def _rename_old_layout(folder: Path) -> None:
    """Very old stores spell blob names with a colon; some have hex digits in upper case."""
    if folder.is_dir():
        for path in list(folder.glob("sha256[:-]*")):
            digest = _digest(path.name)
            if digest is not None and not (folder / digest.file_name).exists():
                path.rename(folder / digest.file_name)


def _remove_empty_folders(store: Store) -> None:
    for folder, _, files in os.walk(store.manifests, topdown=False):
        if not files:
            store.remove_empty(Path(folder))
