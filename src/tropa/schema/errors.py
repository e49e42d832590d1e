"""What can be wrong with a schema."""

from __future__ import annotations

from tropa.errors import TropaError


class BadSchema(TropaError):
    """An answer can't be held to this schema: it is none, it contradicts itself, it says what a grammar can't say, or
    it is too large. The message names the keyword and where it stands."""

    code = "bad-schema"


class TooLarge(BadSchema):
    """Its grammar would be larger than an engine should be given."""

    code = "schema-too-large"

    def __init__(self, message: str, *, placed: bool = False) -> None:
        super().__init__(message)
        self.placed = placed
        """Whether the message says where in the schema that is."""
