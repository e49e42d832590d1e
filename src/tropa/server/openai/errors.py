"""The error envelope of this dialect."""

from __future__ import annotations

from typing import Any

import msgspec

from tropa.errors import TropaError
from tropa.library.errors import ModelNotFound
from tropa.runners.errors import ContextExceeded
from tropa.server.dialect import Dialect, status_for, text_for
from tropa.server.reading import BadField

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
# The words for which clients look; every other error goes without one.
_CODES: tuple[tuple[type[TropaError], str], ...] = (
    (ModelNotFound, "model_not_found"),
    (ContextExceeded, "context_length_exceeded"),
)


def described(status: int, message: str, error: Exception) -> dict[str, Any]:
    """The object inside the envelope."""
    return {
        "message": message,
        "type": _TYPES.get(status, "api_error"),
        "param": (error.path or None) if isinstance(error, BadField) else None,
        "code": next((code for kind, code in _CODES if isinstance(error, kind)), None),
    }


def envelope(status: int, message: str, error: Exception, ident: str) -> bytes:
    """A whole body. The request's id travels in a header here, not in the body."""
    return msgspec.json.encode({"error": described(status, message, error)}) + b"\n"


OPENAI = Dialect(envelope, b"x-request-id")


def frame(error: Exception) -> bytes:
    """An error in the middle of a stream: clients look for the key `error` in each frame."""
    inner = described(status_for(error), text_for(error, begun=True), error)
    return b"data: " + msgspec.json.encode({"error": inner}) + b"\n\n"
