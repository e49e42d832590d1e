"""Whether a manifest from elsewhere is that of a model which could be kept here."""

from __future__ import annotations

from tropa.library import manifest as manifests
from tropa.library.manifest import Manifest

_OURS = "application/vnd.ollama.image."


def objection(found: Manifest, subject: str) -> tuple[str, str | None] | None:
    """What speaks against it, and a hint; None: nothing. `subject` is how the text calls the manifest."""
    layers = found.layers or []
    hint = "a model has a layer of type application/vnd.ollama.image.model"
    if any(layer.media_type == manifests.TENSOR for layer in layers):
        return "this model requires MLX support, but the MLX runtime is not available", None
    if found.config is None or not found.config.digest:
        return f"{subject} has no config", None
    if found.config.size > manifests.CONFIG_LIMIT:
        size, limit = found.config.size, manifests.CONFIG_LIMIT
        return f"{subject}: the config has {size} bytes, at most {limit} are read", None
    if layers and not any(layer.media_type.startswith(_OURS) for layer in layers):
        kinds = ", ".join(sorted({ascii(layer.media_type[:80]) for layer in layers})[:3])
        return f"{subject} is no model: its layers are of type {kinds}", hint
    return None
