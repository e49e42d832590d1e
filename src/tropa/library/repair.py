"""Mend what a check has found, as far as that loses nothing.

Each step is one rename or one removal with the lock held, on a file that is still the one that was hashed, so
a repair may be killed anywhere and begun again. Bytes that are not what their name says are put aside, not
deleted: a model that was made here cannot be pulled, and one wrong bit in it may be better than nothing.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from tropa.library import disk
from tropa.library.check import Check, Entry, Kind, Look, aside
from tropa.library.prune import Pruned


def repair(check: Check) -> tuple[list[str], Pruned | None]:
    """After a `run` of the check. What was done, a line each; and what the prune did, if all was checked.

    Raises StoreUnusable if the folder may not be written to.
    """
    done: list[str] = []
    store, library = check.store, check.library
    if store.root.exists():
        with disk.usable(store.root), store.lock.held():
            look = check.look_held()
            done += _put_aside(check, look)
            done += _rename(check, look)
    done += [f"brought back {name.short}" for name in sorted(check.names) if library.restore(name)]
    pruned = None
    if check.everything and store.root.exists():
        pruned = library.open(now=check.now)
    return done, pruned


def _put_aside(check: Check, look: Look) -> list[str]:
    """A damaged blob loses its name, so that the next pull fetches it and the next create writes it."""
    done = []
    for entry in look.entries:
        wrong = check.verdict(entry)
        if wrong is None or wrong[0] is not Kind.DAMAGED or not _ours(check, look, entry):
            continue
        if entry.digest in look.claimed:
            done.append(
                f"left {entry.digest}: an operation that runs now relies on it; repair again after it"
            )
            continue
        folder = aside(check.store.home)
        disk.make(folder)
        target = _free(folder / entry.digest.file_name)
        entry.path.rename(target)
        disk.sync(folder)
        disk.sync(entry.path.parent)
        done.append(f"put aside {entry.digest}: {target}")
    return done


def _rename(check: Check, look: Look) -> list[str]:
    """Old spellings become the one that is used; a second copy under an old one goes."""
    done = []
    sound = {
        each.digest
        for each in look.entries
        if each.path.name == each.digest.file_name and check.is_sound(each)
    }
    for entry in look.entries:
        target = entry.path.with_name(entry.digest.file_name)
        if entry.path == target or not entry.path.exists() or not _ours(check, look, entry):
            continue
        if not target.exists():
            entry.path.rename(target)
            done.append(f"renamed {entry.path.name} to {target.name}")
        elif entry.digest in sound and not entry.path.samefile(target):
            with suppress(FileNotFoundError):
                entry.path.unlink()
            done.append(f"removed {entry.path.name}: {target.name} has the same bytes")
        disk.sync(target.parent)
    return done


def _ours(check: Check, look: Look, entry: Entry) -> bool:
    return check.everything or entry.digest in look.needed


def _free(path: Path) -> Path:
    """A name that nothing has: the same blob may be damaged twice."""
    number, free = 1, path
    while free.exists() or free.is_symlink():
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
