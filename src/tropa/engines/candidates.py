"""Which engines there are, the preferred one first."""

from __future__ import annotations

import shutil
from pathlib import Path

from tropa.engines.engine import Engine
from tropa.engines.executable import ExecutableEngine
from tropa.engines.wheel import WheelEngine
from tropa.errors import TropaError


class EngineNotFound(TropaError):
    """`TROPA_LLAMA_SERVER` names no executable."""

    code = "engine-not-found"


def candidates(llama_server: str | None) -> list[Engine]:
    """`llama_server` is the user's wish: a path, or a name to look for on PATH. The wheel is always there.

    Raises EngineNotFound if the wish is no executable: the user meant something, and would not see that it
    was ignored.
    """
    if not llama_server:
        return [WheelEngine()]
    found = shutil.which(str(Path(llama_server).expanduser()))
    if found is None:
        raise EngineNotFound(
            f"TROPA_LLAMA_SERVER={llama_server}: there is no such executable; "
            "give the path of a llama-server, or a name that is on PATH"
        )
    return [ExecutableEngine(Path(found).resolve()), WheelEngine()]
