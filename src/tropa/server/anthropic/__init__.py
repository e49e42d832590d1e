"""The Anthropic dialect: `/v1/messages` and `/v1/messages/count_tokens`. Pure translations round the service."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import Scope


def asks(scope: Scope) -> bool:
    """Whether a client of this dialect asks, on a path that it shares with another. The version is not looked at."""
    return "anthropic-version" in Headers(scope=scope)
