"""What can be wrong with a request that was understood."""

from __future__ import annotations

from tropa.errors import TropaError
from tropa.runners.errors import ContextExceeded


class InvalidRequest(TropaError):
    """The request contradicts itself, or asks for what no model could do."""

    code = "invalid-request"


class BadSound(InvalidRequest):
    """What came as a sound can't be heard, or lasts too long."""

    code = "bad-sound"


class BadImage(InvalidRequest):
    """What came as an image can't be read."""

    code = "bad-image"


class NotCapable(TropaError):
    """This model can't do what the request asks for."""

    code = "not-capable"


class NoEmbeddings(NotCapable):
    """The model makes text, not vectors (kept apart: clients of the reference know it as a 501)."""

    code = "no-embeddings"


class BadOption(TropaError):
    """A value in `options` has the wrong type (kept apart: clients of the reference know it as a 500)."""

    code = "bad-option"


class BadFormat(TropaError):
    """`format` is neither `json` nor a JSON schema."""

    code = "bad-format"


class StillTooLong(ContextExceeded):
    """Nothing is left that may be dropped, and the prompt does not fit yet."""

    code = "last-message-too-long"

    def __init__(self, tokens: int, context: int) -> None:
        super().__init__(tokens, context)
        self.args = (f"even without the earlier messages {self.args[0]}",)
