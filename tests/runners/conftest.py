"""Runners are tested on the event loop that the server uses. The few tests that are about the loop itself (how the
end of a process is noticed, what a cancelled start leaves) ask for asyncio's own as well."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.support.bundled import TINY
from tropa.engines.launch import Launch
from tropa.runners.rundir import RunDir

LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    marker = item.get_closest_marker("asyncio")
    asked = marker.kwargs.get("loop_factories") if marker else None
    return LOOPS if asked else {"uvloop": LOOPS["uvloop"]}


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
            "context": 512,
            "slots": 1,
            "threads": 1,
        }
        return Launch(**usual | asked)

    return make
