"""The contract suite runs on the wheel, on an executable that stands in for a llama-server, and, where
TROPA_TEST_LLAMA_SERVER names one, on a real llama-server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import llama_server
from tests.support.bundled import TINY
from tests.support.places import short_folder
from tropa.engines.engine import Engine
from tropa.engines.executable import ExecutableEngine
from tropa.engines.launch import Launch
from tropa.engines.wheel import WheelEngine
from tropa.runners.rundir import RunDir
from tropa.runners.runner import Runner

REAL = os.environ.get("TROPA_TEST_LLAMA_SERVER", "")
KINDS = ["wheel", "executable", *(["real"] if REAL else [])]

Load = Callable[..., Any]


@pytest.fixture(scope="session", params=KINDS)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    match request.param:
        case "wheel":
            yield WheelEngine()
        case "executable":
            with short_folder() as folder:
                yield ExecutableEngine(llama_server.install(folder))
        case _:
            yield ExecutableEngine(Path(REAL))


@pytest.fixture
def rundir(place: Path) -> Iterator[RunDir]:
    rundir = RunDir(place / "run")
    rundir.open()
    yield rundir
    rundir.close()


@pytest.fixture
def launch(rundir: RunDir) -> Callable[..., Launch]:
    """A launch of the bundled model, at an address of its own, with whatever else is asked for."""

    def make(**asked: Any) -> Launch:
        berth = rundir.berth()
        usual: dict[str, Any] = {
            "model": TINY,
            "address": berth.address,
            "alias": berth.alias,
            "context": 256,
            "slots": 1,
            "threads": 1,
        }
        return Launch(**usual | asked)

    return make


@pytest.fixture
async def load(
    engine: Engine, launch: Callable[..., Launch], no_child_left: None
) -> AsyncIterator[Callable[..., Any]]:
    """Loads; and stops what is still loaded at the end."""
    runners: list[Runner] = []

    async def load(**asked: Any) -> Runner:
        runner = await Runner.load(engine, launch(**asked), stall=60)
        runners.append(runner)
        return runner

    yield load
    for runner in runners:
        await runner.stop()
