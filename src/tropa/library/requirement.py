"""REQUIRES: the version of the reference that a model's author counts on, against the one that we stand in for."""

from __future__ import annotations

import re

from tropa import COMPATIBLE
from tropa.library.errors import InvalidRecipe

_OURS = tuple(map(int, COMPATIBLE.split(".")))
_VERSION = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?", re.ASCII)


def requirement(text: str) -> str:
    """The version without its `v`; nothing for nothing. Raises InvalidRecipe if it is none, or too new."""
    if not text:
        return ""
    match = _VERSION.fullmatch(text)
    if match is None or any(len(part or "") > 9 for part in match.groups()):
        raise InvalidRecipe(f"requires must be a valid semver (e.g. 0.14.0), not {text[:40]!r}")
    if tuple(int(part or 0) for part in match.groups()) > _OURS:
        raise InvalidRecipe(
            f"this model requires version {text.removeprefix('v')}, and this server stands in for {COMPATIBLE}",
            hint="use a newer Tropa, or leave REQUIRES out if the model does without what is new there",
        )
    return text.removeprefix("v")
