"""What can be wrong with a folder of safetensors. Messages name the file, and the key or tensor in it."""

from __future__ import annotations

from tropa.errors import TropaError


class InvalidModelFolder(TropaError):
    """The files don't make a model: one is missing or damaged, or they contradict each other."""

    code = "invalid-model-folder"


class InvalidSafetensors(InvalidModelFolder):
    """A file of weights that is damaged, cut short or hostile."""

    code = "invalid-safetensors"

    def __init__(self, file: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"{file}: {reason}", hint=hint)
        self.file = file
        self.reason = reason
