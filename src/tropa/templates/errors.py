"""What can be wrong with a template. The texts are those that Go's text/template has for the same fault."""

from __future__ import annotations

from tropa.errors import TropaError


class TemplateSyntaxError(TropaError):
    """The text is no template. `line` counts from 1, `column` from 0 and in bytes, as Go counts."""

    code = "invalid-template"

    def __init__(self, message: str, *, line: int = 1, column: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column


class TemplateError(TropaError):
    """The template can't be executed with this data, or asks for more than one execution may have."""

    code = "template-failed"

    def __init__(self, message: str, *, line: int = 1, column: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column


class Failure(Exception):
    """A function can't do what it was asked for. It never leaves the interpreter, which adds where it was."""


def place(text: str, position: int) -> tuple[int, int]:
    """Line (from 1) and column (from 0, in bytes) of a position in code points."""
    start = text.rfind("\n", 0, position) + 1
    before = text[start:position]
    column = len(before) if before.isascii() else len(before.encode(errors="surrogatepass"))
    return text.count("\n", 0, position) + 1, column
