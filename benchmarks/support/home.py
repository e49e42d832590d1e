"""A world of its own for every benchmark: models, state and sockets in a folder that goes away with it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

OURS = ("OLLAMA_", "TROPA_")


@dataclass(frozen=True, slots=True)
class Home:
    """Where the servers of one benchmark keep what they keep. Paths are short: sockets lie below."""

    path: Path

    def environment(self, **settings: str) -> dict[str, str]:
        """The caller's environment without its settings for Tropa, with ours."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return {
            **plain,
            "OLLAMA_MODELS": str(self.path / "models"),
            "TROPA_STATE": str(self.path / "state"),
            "XDG_RUNTIME_DIR": str(self.path),
            **settings,
        }

    def forget(self) -> None:
        """Drop the state, the engine's probe among it: the next server starts as on its first day."""
        shutil.rmtree(self.path / "state", ignore_errors=True)


@contextmanager
def home() -> Iterator[Home]:
    """A new one, removed at the end."""
    path = Path(tempfile.mkdtemp(prefix="tropa-bench-"))
    try:
        yield Home(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)
