"""What can go wrong with a registry. Each error knows whether trying again could help."""

from __future__ import annotations

from tropa.errors import TropaError


class RegistryError(TropaError):
    """The family. `temporary`: another try may succeed, not before `after` seconds if the other side said so."""

    code = "registry-error"
    temporary = False
    after: float | None = None


class NotFound(RegistryError):
    """The registry has no such thing (404)."""

    code = "registry-not-found"

    def __init__(self) -> None:
        super().__init__("file does not exist")


class Unauthorized(RegistryError):
    """Who we are was not enough, also after asking for a token."""

    code = "registry-unauthorized"

    def __init__(self, hint: str | None = None) -> None:
        super().__init__("unauthorized: access denied", hint=hint)


class Refused(RegistryError):
    """Any other status that says no. 5xx, 408 and 429 may pass."""

    code = "registry-refused"

    def __init__(self, status: int, body: str, after: float | None = None) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.temporary = status >= 500 or status in (408, 429)
        self.after = after


class Unreachable(RegistryError):
    """No connection, or one that broke."""

    code = "registry-unreachable"

    def __init__(self, where: str, reason: str, *, temporary: bool = True, hint: str | None = None) -> None:
        super().__init__(f"{where}: {reason}", hint=hint)
        self.temporary = temporary


class Stalled(Unreachable):
    """Nothing came for too long."""

    code = "registry-stalled"

    def __init__(self, where: str) -> None:
        super().__init__(where, "no data came for too long")


class BadAnswer(RegistryError):
    """An answer that is not what was asked for. `temporary` where a broken cache on the way is likelier."""

    code = "registry-bad-answer"

    def __init__(self, message: str, *, temporary: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.temporary = temporary


class NoRanges(RegistryError):
    """The server answers with the whole file where a part was asked for."""

    code = "registry-no-ranges"

    def __init__(self) -> None:
        super().__init__("the server does not send parts of files")


class BadRedirect(RegistryError):
    """A redirect that must not be followed: without end, or away from https."""

    code = "registry-bad-redirect"


class RealmMismatch(RegistryError):
    """A signature is only for the host that asked for it."""

    code = "registry-realm-mismatch"

    def __init__(self, realm: str, original: str) -> None:
        super().__init__(f'realm host "{realm}" does not match original host "{original}"')


class GaveUp(RegistryError):
    """Tried as often as makes sense."""

    code = "registry-gave-up"

    def __init__(self, last: RegistryError) -> None:
        super().__init__(f"max retries exceeded: {last}", hint=last.hint)


class CorruptDownload(RegistryError):
    """All bytes came, and they are not the ones that the manifest names."""

    code = "registry-corrupt-download"

    def __init__(self, want: str, got: str) -> None:
        super().__init__(f"digest mismatch, file must be downloaded again: want {want}, got {got}")


class NotEnoughSpace(RegistryError):
    """The disk cannot hold what would be downloaded."""

    code = "registry-not-enough-space"


class UnsupportedManifest(RegistryError):
    """A manifest that is sound, and of no model that can run here."""

    code = "registry-unsupported-manifest"


class PullFailed(RegistryError):
    """The manifest could not be had. Clients know the text."""

    code = "registry-pull-failed"

    def __init__(self, cause: TropaError) -> None:
        super().__init__(f"pull model manifest: {cause}", hint=cause.hint)


class NothingToPush(RegistryError):
    """The model to push is not here."""

    code = "registry-nothing-to-push"


class KeyUnusable(RegistryError):
    """`id_ed25519` cannot be made, read or understood."""

    code = "registry-key-unusable"


class CredentialsUnusable(RegistryError):
    """Stored credentials cannot be read or written."""

    code = "registry-credentials-unusable"


class Left(RegistryError):
    """Whoever wanted it has gone, or the server is stopping."""

    code = "registry-left"

    def __init__(self) -> None:
        super().__init__("the transfer was cancelled; it resumes where it was when it is asked for again")
