"""The error envelope of this dialect."""

from __future__ import annotations

from typing import Any

import msgspec

from tropa.server.dialect import Dialect, status_for, text_for

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


def described(status: int, message: str) -> dict[str, Any]:
    """The object that says `error`."""
    return {"type": "error", "error": {"type": _TYPES.get(status, "api_error"), "message": message}}


def envelope(status: int, message: str, error: Exception, ident: str) -> bytes:
    """A whole body."""
    return msgspec.json.encode(described(status, message) | {"request_id": ident})


ANTHROPIC = Dialect(envelope, b"request-id")


def frame(error: Exception) -> bytes:
    """An error in the middle of a stream."""
    told = described(status_for(error), text_for(error, begun=True))
    return b"event: error\ndata: " + msgspec.json.encode(told) + b"\n\n"
