"""What can be wrong with a request that was understood."""

from __future__ import annotations

from tropa.errors import TropaError


class InvalidRequest(TropaError):
    """The request contradicts itself, or asks for what no model could do."""

    code = "invalid-request"


class NotCapable(TropaError):
    """This model can't do what the request asks for."""

    code = "not-capable"


class BadOption(TropaError):
    """A value in `options` has the wrong type (kept apart: clients of the reference know it as a 500)."""

    code = "bad-option"


class BadFormat(TropaError):
    """`format` is neither `json` nor a JSON schema."""

    code = "bad-format"
