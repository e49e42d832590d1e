"""What is not there."""

from __future__ import annotations

from tropa.errors import TropaError


class ResponseNotFound(TropaError):
    """Somebody asks for a response that was given before."""

    code = "response-not-found"

    def __init__(self, ident: str) -> None:
        super().__init__(f"response '{ident[:80]}' not found: this server keeps no responses")
