"""One line of what a long operation tells while it runs: `create` now, pull and push later."""

from __future__ import annotations

import msgspec


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """Encodes to the record that clients read; what is zero or empty stays away."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


SUCCESS = Status("success")
