"""The `details` object of tags, ps and show."""

from __future__ import annotations

from typing import Any

from tropa.library.model import Model


def details(model: Model) -> dict[str, Any]:
    """The six keys that all three have."""
    each = model.details
    return {
        "parent_model": each.parent_model,
        "format": each.format,
        "family": each.family,
        "families": each.families,
        "parameter_size": each.parameter_size,
        "quantization_level": each.quantization_level,
    }
