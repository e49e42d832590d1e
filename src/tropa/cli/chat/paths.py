"""Tab in a message: the path at its end could become these folders, images and sounds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from tropa.cli.media import at_home, kind_of

_BEGINS = re.compile(r"(?:~[A-Za-z0-9_.-]*|\.{0,2})/")
_SPECIAL = re.compile(r"([ \t\\'\"()])")


def is_path(word: str) -> bool:
    return _BEGINS.match(word) is not None


def paths(word: str) -> Iterable[str]:
    """As they would be typed: with a backslash before a blank, folders with a slash after them."""
    folder, slash, start = re.sub(r"\\(.)", r"\1", word).rpartition("/")
    try:
        entries = sorted(os.scandir(at_home(folder + slash)), key=lambda entry: entry.name)
    except OSError:  # no such folder, or it is not for us to read
        return
    for entry in entries:
        if not entry.name.startswith(start) or (entry.name.startswith(".") and not start.startswith(".")):
            continue
        typed = _SPECIAL.sub(r"\\\1", folder + slash + entry.name)
        if entry.is_dir():
            yield typed + "/"
        elif kind_of(entry.name):
            yield typed
