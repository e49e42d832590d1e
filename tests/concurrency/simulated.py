"""A machine with GPUs that are not there: simulated at the inventory, with the real launcher and the real engine.

The engine is started as it was asked to be, except that it is told nothing of GPUs. What it was to be told is kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from tests.concurrency.server import Client
from tests.support.bundled import TINY
from tropa.devices.device import CPU, DeviceMemory
from tropa.engines.engine import Command, Engine
from tropa.engines.launch import Launch
from tropa.engines.wheel import WheelEngine
from tropa.library.bundled import packaged
from tropa.library.library import Library
from tropa.runners.child import Child
from tropa.runners.choice import EngineChoice
from tropa.runners.herd import Herd
from tropa.runners.loadable import Loadable
from tropa.runners.local import LocalLauncher
from tropa.runners.policy import policy
from tropa.runners.rundir import RunDir
from tropa.runners.runner import Runner
from tropa.scheduler.actions import Load
from tropa.scheduler.core import Scheduler
from tropa.server.access import Origins
from tropa.server.app import application
from tropa.service.models import Models
from tropa.service.service import Service
from tropa.settings import Settings

GIB = 1 << 30


@dataclass(frozen=True)
class Recording(WheelEngine):
    """The wheel's engine. `launches` are what it was asked for."""

    launches: list[Launch] = field(default_factory=list, compare=False)

    def command(self, launch: Launch) -> Command:
        self.launches.append(launch)
        return super().command(replace(launch, gpu_layers=0, main_gpu=None, tensor_split=()))


class Chosen(EngineChoice):
    """A choice that was made: an engine that can use these libraries."""

    def __init__(self, engine: Engine, libraries: frozenset[str], rundir: RunDir, memory: Path) -> None:
        super().__init__([engine], TINY, rundir, memory)
        self._engine = engine
        self.name, self.libraries = engine.name, libraries

    async def engine(self) -> Engine:
        return self._engine


@dataclass
class _Placed:
    """An engine, and for how many looks the driver still counts it when it has gone."""

    load: Load
    child: Child
    late: int

    def holds(self) -> bool:
        if self.child.exited.is_set():
            self.late -= 1
        return self.late >= 0


class Simulation(LocalLauncher):
    """The launcher of a machine with these GPUs. Their memory is taken by who was placed there and lives, and `late`
    looks longer."""

    def __init__(
        self,
        choice: EngineChoice,
        rundir: RunDir,
        settings: Settings,
        gpus: Sequence[DeviceMemory],
        late: int,
    ) -> None:
        super().__init__(choice, rundir, settings, self.look)
        self._gpus = gpus
        self._late = late
        self._placed: list[_Placed] = []

    async def launch(self, load: Load, model: Loadable) -> Runner:
        runner = await super().launch(load, model)
        self._placed.append(_Placed(load, runner.child, self._late))
        return runner

    def look(self) -> list[DeviceMemory]:
        """What a driver would say."""
        living = [each.load.placement.promised for each in self._placed if each.holds()]
        free = {gpu.id: gpu.free - sum(promised.get(gpu.id, 0) for promised in living) for gpu in self._gpus}
        return [
            DeviceMemory(CPU, 64 * GIB, 32 * GIB),
            *(replace(gpu, free=max(0, free[gpu.id])) for gpu in self._gpus),
        ]


@dataclass
class Machine:
    """A server without a socket, and what its engines were told."""

    herd: Herd
    client: Client
    service: Service
    log: list[Launch]

    @property
    def last(self) -> Launch:
        return self.log[-1]


def cuda(*totals: int) -> list[DeviceMemory]:
    """NVIDIA GPUs with so much memory, all of it free."""
    return [
        DeviceMemory(f"cuda:{n}", total, total, "cuda", handle=f"GPU-{n}") for n, total in enumerate(totals)
    ]


@asynccontextmanager
async def machine(
    gpus: Sequence[DeviceMemory],
    models: Path,
    place: Path,
    settings: Settings,
    libraries: frozenset[str] = frozenset({"cuda"}),
    late: int = 0,
) -> AsyncIterator[Machine]:
    """Until the block ends. `place` is a folder of its own with a short path."""
    rundir = RunDir(place / "run")
    rundir.open()
    engine = Recording()
    launcher = Simulation(
        Chosen(engine, libraries, rundir, place / "engines.json"), rundir, settings, gpus, late
    )
    herd = Herd(Scheduler(policy(settings, await launcher.devices())), launcher)
    library = Library(models, packaged(), prune=False)
    library.open()
    service = Service(Models(library, settings), herd)
    transport = httpx.ASGITransport(application(service, Origins(), loopback=True))
    await herd.start()
    try:
        async with httpx.AsyncClient(base_url="http://127.0.0.1", transport=transport, timeout=60) as http:
            yield Machine(herd, Client(http), service, engine.launches)
    finally:
        await herd.stop()
        rundir.close()
