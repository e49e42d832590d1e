"""What can be wrong with a file that should be a GGUF. Every message names the file and the reason."""

from __future__ import annotations

from pathlib import Path

from tropa.errors import TropaError

_LONGEST = 1000
"""Characters of a reason. It quotes names from the file, and those may be megabytes long."""


class InvalidGGUF(TropaError):
    """The file can't be used as a GGUF: `reason` says why, `path` which one."""

    code = "invalid-gguf"

    def __init__(self, path: Path, reason: str, *, hint: str | None = None) -> None:
        if len(reason) > _LONGEST:
            half = _LONGEST // 2
            reason = f"{reason[:half]} … {reason[-half:]}"
        super().__init__(f"{path}: {reason}", hint=hint)
        self.path = path
        self.reason = reason


class UnreadableFile(InvalidGGUF):
    """There is no such file, or it is no regular file, or we may not read it."""

    code = "gguf-unreadable"


class NotGGUF(InvalidGGUF):
    """The bytes begin like something else."""

    code = "not-gguf"


class UnsupportedGGUF(InvalidGGUF):
    """A GGUF, but of a version or byte order that nothing here can run."""

    code = "gguf-unsupported"


class CutShort(InvalidGGUF):
    """The header promises bytes that the file does not have."""

    code = "gguf-cut-short"


class AbsurdHeader(InvalidGGUF):
    """A count or length no model has: the file is damaged or hostile."""

    code = "gguf-absurd"


class BadMetadata(InvalidGGUF):
    """A key or its value is not what the format allows, or not what is needed."""

    code = "gguf-bad-metadata"


class BadTensor(InvalidGGUF):
    """A tensor whose name, shape, type or place can't be right."""

    code = "gguf-bad-tensor"


class SplitGGUF(InvalidGGUF):
    """One part of a model that was split over several files."""

    code = "gguf-split"
