"""The error envelope of this dialect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from tropa.runners.errors import ContextExceeded
from tropa.server.dialect import Dialect, status_for, text_for
from tropa.server.reading import BadField

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


class NoThreads(BadField):
    """The server shall keep the conversation. Helpers of the official client ask for that first, and on this very
    refusal go on with the whole conversation in each request."""

    code = "no-threads"
    details: Mapping[str, object] = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}

    def __init__(self, path: str) -> None:
        super().__init__(path, "is not supported: this server keeps no conversations; send all messages")


def described(status: int, message: str, error: Exception) -> dict[str, Any]:
    """The object that says `error`."""
    if isinstance(error, ContextExceeded):  # agents look for these words, and then sum up what was said
        message = f"prompt is too long: {error.prompt} tokens > {error.context} maximum: {message}"
    inner: dict[str, Any] = {"type": _TYPES.get(status, "api_error"), "message": message}
    if isinstance(error, NoThreads):
        inner["details"] = error.details
    return {"type": "error", "error": inner}


def envelope(status: int, message: str, error: Exception, ident: str) -> bytes:
    """A whole body."""
    return msgspec.json.encode(described(status, message, error) | {"request_id": ident})


ANTHROPIC = Dialect(envelope, b"request-id")


def frame(error: Exception) -> bytes:
    """An error in the middle of a stream."""
    told = described(status_for(error), text_for(error, begun=True), error)
    return b"event: error\ndata: " + msgspec.json.encode(told) + b"\n\n"
