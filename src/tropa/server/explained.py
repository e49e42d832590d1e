"""On request an answer says where its time went: `"explain": true` in the body, or the header `Tropa-Explain: 1`.

The same object under the same name on every route that asks a model, beside the dialect's own keys, where clients
that know nothing of it read on.
"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

from tropa.runners.account import current
from tropa.server.native.records import explanation


def wanted(scope: Scope, field: bool | None) -> bool:
    """By the body's field, or else by the header."""
    return Headers(scope=scope).get("tropa-explain") == "1" if field is None else field


def told(explain: bool) -> dict[str, Any]:
    """What to add to the last record of an answer, when all of it was made."""
    return {"explain": explanation(current())} if explain else {}
