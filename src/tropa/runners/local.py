"""Runners on this machine: each a child process with an engine in it."""

from __future__ import annotations

import asyncio
import logging
import os

from tropa.devices import inventory
from tropa.engines.launch import Launch
from tropa.runners.child import Child
from tropa.runners.choice import EngineChoice
from tropa.runners.loadable import Loadable
from tropa.runners.memorybook import MemoryBook
from tropa.runners.rundir import Berth, RunDir
from tropa.runners.runner import Runner
from tropa.scheduler.actions import Load
from tropa.scheduler.demand import Demand
from tropa.scheduler.machine import CPU, Device, Usage
from tropa.settings import Settings

engine_log = logging.getLogger("tropa.engine")

MIB = 1 << 20


class LocalLauncher:
    """The launcher of a server without a cluster."""

    def __init__(self, choice: EngineChoice, rundir: RunDir, settings: Settings) -> None:
        self._choice = choice
        self._rundir = rundir
        self._settings = settings
        self._book = MemoryBook(settings.state / "memory.json")

    async def launch(self, load: Load, model: Loadable) -> Runner:
        """See herd.Launcher."""
        engine = await self._choice.engine()
        berth = self._rundir.berth()
        launch = launch_of(load, model, berth, self._settings)

        def record(child: Child) -> None:
            self._rundir.record(berth.alias, child.pid)

        try:
            runner = await Runner.load(
                engine, launch, stall=self._settings.load_timeout, on_line=engine_log.debug, on_start=record
            )
        except BaseException:
            self._rundir.forget(berth.alias)
            raise
        return runner

    async def measure(self, runners: dict[int, Runner]) -> tuple[tuple[Device, ...], tuple[Usage, ...]]:
        """See herd.Launcher."""
        pids = {number: runner.child.pid for number, runner in runners.items()}
        return await asyncio.to_thread(_measure, pids)

    async def release(self, load: Load) -> None:
        """See herd.Launcher. Host memory is back when the process has been waited for."""

    def recall(self, model: Loadable) -> Demand:
        """See herd.Launcher."""
        return self._book.recall(model.demand)

    def remember(self, load: Load, model: Loadable, usage: Usage) -> None:
        """See herd.Launcher."""
        if usage.bytes:
            self._book.remember(model.demand, load.placement, usage.bytes)


def _measure(pids: dict[int, int]) -> tuple[tuple[Device, ...], tuple[Usage, ...]]:
    return inventory.devices(), tuple(
        Usage(number, {CPU: inventory.process_memory(pid)}) for number, pid in pids.items()
    )


def launch_of(load: Load, model: Loadable, berth: Berth, settings: Settings) -> Launch:
    """The one place where a decision becomes start-up parameters."""
    placement, want = load.placement, load.want
    return Launch(
        model=model.weights,
        address=berth.address,
        alias=berth.alias,
        context=placement.context,
        slots=placement.slots,
        threads=want.num_thread or cores(),
        batch=placement.batch,
        gpu_layers=placement.gpu_layers,
        tensor_split=tuple(float(share) for share in placement.tensor_split)
        if len(placement.gpus) > 1
        else (),
        cache_type=settings.kv_cache_type,
        flash_attention=settings.flash_attention,
        mmap=want.use_mmap,
        embedding=model.demand.embedding,
        cache_ram_mib=model.demand.prompt_cache // MIB,
        projector=model.projector,
        adapters=model.adapters,
    )


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
