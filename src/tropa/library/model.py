"""What the rest of the program knows of a model: read once, never changed.

A :class:`Model` is a value. It says where the weights are and what its author wrote beside them; it opens
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tropa.library.digest import Digest
from tropa.library.name import Name


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in a file, and the digest they were stored under."""

    digest: Digest
    path: Path


@dataclass(frozen=True, slots=True)
class Message:
    """One line of the conversation a model starts with."""

    role: str = ""
    content: str = ""


@dataclass(frozen=True, slots=True)
class Details:
    """The `details` of tags, ps and show, as texts."""

    parent_model: str = ""
    format: str = ""
    family: str = ""
    families: tuple[str, ...] | None = None
    parameter_size: str = ""
    quantization_level: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the library.

    `id` is the SHA-256 of its manifest (hex, no prefix): copies share it, any change makes another. `size` is
    what the manifest sums up to, in bytes. `problems` is empty unless files are missing or damaged; a model
    with problems is listed, and refused by :meth:`Library.find`.
    """

    name: Name
    id: str
    size: int
    modified: datetime
    """When the manifest was written; aware, UTC."""
    details: Details
    weights: Blob | None = None
    """None for a remote stub, and for what is no GGUF model."""
    adapters: tuple[Blob, ...] = ()
    projectors: tuple[Blob, ...] = ()
    drafts: tuple[Blob, ...] = ()
    template: str | None = None
    """The Go template its author wrote; None if there is none."""
    chat_template: str | None = None
    """The Jinja template inside the GGUF; None if there is none."""
    system: str = ""
    params: Mapping[str, object] = field(default_factory=dict)
    messages: tuple[Message, ...] = ()
    licenses: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    context_length: int = 0
    """What the model was trained for; 0 if it does not say."""
    embedding_length: int = 0
    renderer: str = ""
    parser: str = ""
    requires: str = ""
    remote_host: str = ""
    remote_model: str = ""
    bundled: bool = False
    """It came with the program and takes no space in the store."""
    problems: tuple[str, ...] = ()

    @property
    def parent_model(self) -> str:
        return self.details.parent_model

    def can(self, capability: str) -> bool:
        return capability in self.capabilities
