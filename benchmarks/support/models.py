"""The models to measure with: `tiny`, which is always there, and random-weight ones of a size that means work."""

from __future__ import annotations

from pathlib import Path

from tests.support.models import llama_100m

TINY = "tiny"
CACHE = Path(__file__).resolve().parents[2] / "build" / "benchmarks"

# `tiny` ends its answers by itself. So hot, every word is as likely as any other, the end too: it seldom ends.
# The text is nonsense, the work is the same.
HOT: dict[str, float] = {"temperature": 10.0, "top_k": 0, "top_p": 1.0}


def hundred_million(seed: int = 1) -> Path:
    """A llama of 100M parameters in Q4_0, made once and kept in build/. Other seeds are other models."""
    path = CACHE / f"llama-100m-{seed}.gguf"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        llama_100m(path.with_suffix(".part"), seed=seed).replace(path)
    return path


def options(model: str) -> dict[str, float]:
    """Sampling options under which `model` goes on until it has used up what it may generate."""
    return dict(HOT) if model == TINY else {}
