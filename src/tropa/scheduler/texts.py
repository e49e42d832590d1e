"""The words users read. Some are wire facts that other programs match on; those say so."""

from __future__ import annotations

QUEUE_FULL = "server busy, please try again.  maximum pending requests exceeded"
"""Exact, with two spaces: clients match on it."""

STOPPING = "server is shutting down"


def human(size: int) -> str:
    """`5.6 GiB`, as Ollama writes it."""
    amount = float(size)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{size} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def too_big(needed: int, available: int) -> str:
    """Exact wording: users search for it."""
    return f"model requires more system memory ({human(needed)}) than is available ({human(available)})"


def layout(num_gpu: int) -> str:
    """Exact wording: a number of layers on GPUs that no placement gives."""
    return f"memory layout cannot be allocated with num_gpu = {num_gpu}"
