"""The one family of errors that a caller can act on. Anything else is a bug and stays loud.

Each part of the program derives its own errors from :class:`TropaError`, raises them at the deepest place
that knows why, and lets the edges translate: the server to a status code in the client's dialect
(`tropa.server.errors`), the command line to one `Error:` line.
"""

from __future__ import annotations


class TropaError(Exception):
    """Something went wrong that is worth telling: `str(error)` is the message a user reads.

    `code` is a stable kebab-case reference for logs and tests; `hint` says what to do about it, if we know.
    """

    code: str = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
