"""Runners on this machine: each a child process with an engine in it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from tropa.devices import inventory, process
from tropa.devices.device import DeviceMemory
from tropa.runners.child import Child
from tropa.runners.choice import EngineChoice
from tropa.runners.errors import LoadFailed
from tropa.runners.launching import launch_of
from tropa.runners.loadable import Loadable
from tropa.runners.memorybook import MemoryBook
from tropa.runners.rundir import RunDir
from tropa.runners.runner import Runner
from tropa.scheduler.actions import Load
from tropa.scheduler.demand import Demand
from tropa.scheduler.machine import CPU, Device, Kind, Usage
from tropa.settings import Settings

engine_log = logging.getLogger("tropa.engine")
log = logging.getLogger("tropa.runners")

RETURN_SHARE = 0.75  # of what a runner held on a GPU must be free again before its memory counts as free
RETURN_PAUSE, RETURN_LIMIT = 0.25, 5.0  # seconds: drivers report late

Inventory = Callable[[], Sequence[DeviceMemory]]


@dataclass(slots=True)
class _OnGpus:
    """An engine that was placed on GPUs. `free` is what they had when we last looked while it lived."""

    child: Child
    promised: Mapping[str, int]
    free: int
    loaded: bool = False

    @property
    def expected(self) -> float:
        """What must be free on these GPUs when its memory is back."""
        held = sum(self.promised.values())
        return self.free + held * (RETURN_SHARE if self.loaded else RETURN_SHARE - 1)


class LocalLauncher:
    """The launcher of a server without a cluster. `devices` is the seam where tests simulate GPUs."""

    def __init__(
        self,
        choice: EngineChoice,
        rundir: RunDir,
        settings: Settings,
        devices: Inventory = inventory.devices,
    ) -> None:
        self._choice = choice
        self._rundir = rundir
        self._settings = settings
        self._inventory = devices
        self._book = MemoryBook(settings.state / "memory.json", lambda: choice.name)
        self._known: dict[str, DeviceMemory] = {}
        self._on_gpus: dict[int, _OnGpus] = {}

    async def devices(self) -> tuple[Device, ...]:
        """The devices that the engine can use. Waits for the choice of the engine only if there are GPUs at all."""
        found = await asyncio.to_thread(self._inventory)
        if any(each.is_gpu for each in found):
            with contextlib.suppress(LoadFailed):
                await self._choice.engine()
        usable = [each for each in found if not each.is_gpu or each.library in self._choice.libraries]
        self._known = {each.id: each for each in usable}
        for engine in self._on_gpus.values():
            if not engine.child.exited.is_set():
                engine.free = self._free(engine.promised)
        return tuple(_as_device(each) for each in usable)

    async def launch(self, load: Load, model: Loadable) -> Runner:
        """See herd.Launcher."""
        engine = await self._choice.engine()
        berth = self._rundir.berth()
        launch = launch_of(load, model, berth, self._settings, self._known)

        def record(child: Child) -> None:
            self._rundir.record(berth.alias, child.pid)
            if gpus := load.placement.gpus:
                promised = {gpu: load.placement.promised.get(gpu, 0) for gpu in gpus}
                self._on_gpus[load.runner] = _OnGpus(child, promised, self._free(gpus))
            forgetting = asyncio.create_task(self._forget(berth.alias, child))
            forgetting.add_done_callback(lambda _: None)

        return await Runner.load(
            engine, launch, stall=self._settings.load_timeout, on_line=engine_log.debug, on_start=record
        )

    async def _forget(self, alias: str, child: Child) -> None:
        await child.exited.wait()
        self._rundir.forget(alias)

    async def measure(self, runners: dict[int, Runner]) -> tuple[tuple[Device, ...], tuple[Usage, ...]]:
        """See herd.Launcher."""
        devices = await self.devices()
        pids = {number: runner.child.pid for number, runner in runners.items()}
        for number in runners.keys() & self._on_gpus.keys():
            self._on_gpus[number].loaded = True
        promised = {number: engine.promised for number, engine in self._on_gpus.items()}
        return devices, await asyncio.to_thread(_usage, pids, promised)

    async def release(self, load: Load) -> None:
        """See herd.Launcher. Host memory is back when the process has been waited for; GPU drivers take a while."""
        engine = self._on_gpus.pop(load.runner, None)
        if engine is None or all(
            self._known[gpu].integrated for gpu in engine.promised if gpu in self._known
        ):
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETURN_LIMIT):
                while await self._free_now(engine.promised) < engine.expected:  # noqa: ASYNC110 - drivers tell nobody
                    await asyncio.sleep(RETURN_PAUSE)

    def _free(self, gpus: Collection[str]) -> int:
        """As we last saw it."""
        return sum(each.free for each in self._known.values() if each.id in gpus)

    async def _free_now(self, gpus: Collection[str]) -> int:
        return sum(each.free for each in await asyncio.to_thread(self._inventory) if each.id in gpus)

    def recall(self, model: Loadable) -> Demand:
        """See herd.Launcher."""
        return self._book.recall(model.demand)

    def remember(self, load: Load, model: Loadable, usage: Usage) -> None:
        """See herd.Launcher."""
        if usage.bytes:
            self._book.remember(model.demand, load.placement, usage.bytes)


def _usage(pids: Mapping[int, int], promised: Mapping[int, Mapping[str, int]]) -> tuple[Usage, ...]:
    """What processes hold. Where a driver does not say how much of a GPU it is, what was promised stands: counted as
    nothing, it would seem to be somebody else's, and never to come back."""
    found = []
    for number, pid in pids.items():
        held = process.memory(pid)
        used = {CPU: held.total}
        if on_gpus := promised.get(number):
            used |= {**on_gpus, **inventory.used_by(pid)}
        if held.total:
            found.append(Usage(number, used, held.mapped))
    return tuple(found)


def _as_device(found: DeviceMemory) -> Device:
    kind = Kind.GPU if found.is_gpu else Kind.CPU
    return Device(found.id, kind, found.total, found.free, found.library, found.integrated, found.name)
