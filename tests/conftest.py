from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import models
from tests.support.places import short_folder
from tests.support.processes import alive, descendants


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose path is short enough for sockets."""
    with short_folder() as path:
        yield path


@pytest.fixture(scope="session", autouse=True)
def _own_places() -> Iterator[None]:
    """Nothing that a test starts looks at, or writes to, what the user of this machine has."""
    with short_folder() as home, pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("OLLAMA_", "TROPA_")) and not name.startswith("TROPA_TEST_"):
                patch.delenv(name)
        (home / "run").mkdir()
        patch.setenv("XDG_RUNTIME_DIR", str(home / "run"))
        patch.setenv("TROPA_STATE", str(home / "state"))
        patch.setenv("OLLAMA_MODELS", str(home / "models"))
        yield


@pytest.fixture(scope="session")
def slow_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that takes seconds for a prompt of some thousand tokens, and does not end its answers by itself."""
    path = tmp_path_factory.mktemp("slow") / "slow.gguf"
    return models.llama(path, layers=4, width=256, heads=4, type="Q8_0", context=32768)


@pytest.fixture
def no_child_left() -> Iterator[None]:
    """What a test started has ended when it has."""
    before = descendants()
    yield
    left = {process for process in descendants() - before if alive(process)}
    shown = [_shown(process) for process in left]
    for process in left:
        process.kill()
    assert not left, f"still running: {shown}"


def _shown(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {process.cmdline()}"
    except psutil.NoSuchProcess:
        return f"{process.pid}, just gone"
