"""What can go wrong in the library. Names and digests bring their own (`name.py`, `digest.py`)."""

from __future__ import annotations

from tropa.errors import TropaError
from tropa.library.digest import Digest


class ModelNotFound(TropaError):
    """No model of that name. `text` is what was asked for, as it was written."""

    code = "model-not-found"

    def __init__(self, text: str, message: str | None = None) -> None:
        super().__init__(message or f"model '{text}' not found")
        self.text = text


class CloudDisabled(TropaError):
    """The name asks for a model on other people's machines; Tropa runs models here."""

    code = "cloud-disabled"

    def __init__(self, message: str = "ollama cloud is disabled: remote model is unavailable") -> None:
        super().__init__(message)


class DamagedModel(TropaError):
    """The model is in the store, and files it needs are missing or unreadable."""

    code = "damaged-model"


class StoreUnusable(TropaError):
    """The model folder cannot be made, read or written: full, read-only, or somebody else's."""

    code = "store-unusable"


class InvalidManifest(TropaError):
    """Bytes that should be a manifest or its config, and are not."""

    code = "invalid-manifest"


class DigestMismatch(TropaError):
    """The bytes are not what their sender said they were."""

    code = "digest-mismatch"

    def __init__(self, expected: Digest, got: Digest) -> None:
        super().__init__(f'digest mismatch, expected "{expected}", got "{got}"')
        self.expected = expected
        self.got = got


class BlobNotFound(TropaError):
    """A blob that something needs is not in the store."""

    code = "blob-not-found"

    def __init__(self, digest: Digest) -> None:
        super().__init__(f'blob "{digest}" not found')
        self.digest = digest


class InvalidRecipe(TropaError):
    """A create request that cannot be followed whatever the files hold."""

    code = "invalid-recipe"


class UnsupportedArchitecture(TropaError):
    """A sound GGUF that the engine cannot run."""

    code = "unsupported-architecture"
