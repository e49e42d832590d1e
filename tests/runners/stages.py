"""A herd with its launcher, as one thing that tests can drive: the fake one, and the real one with real engines."""

from __future__ import annotations

import asyncio
import os
import signal
import struct
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import psutil

from tests.support.bundled import TINY
from tests.support.fake_launcher import MIB, FakeLauncher, model
from tests.support.processes import alive, descendants, soon
from tropa.engines.wheel import WheelEngine
from tropa.runners.choice import EngineChoice
from tropa.runners.demand import demand_of
from tropa.runners.herd import Herd, Slot
from tropa.runners.loadable import Loadable
from tropa.runners.local import LocalLauncher
from tropa.runners.rundir import RunDir
from tropa.scheduler.core import Scheduler
from tropa.scheduler.demand import NO_WISH, Want
from tropa.scheduler.policy import Policy
from tropa.scheduler.view import RunnerState, RunnerView
from tropa.settings import Settings

SLOTS = 2
POLICY = Policy(
    num_parallel=SLOTS,
    max_loaded=2,
    default_context=256,
    small_context=256,
    patience=0.0,
    residency_least=0.0,
    residency_factor=0.0,
    linger=0.0,
)


class Stage(ABC):
    """What tests see. `herd` is started."""

    herd: Herd

    @abstractmethod
    def model(self, name: str = "a") -> Loadable:
        """A model that works. Different names are different models."""

    @abstractmethod
    def broken(self) -> Loadable:
        """One whose load fails."""

    @abstractmethod
    def processes(self) -> int:
        """How many engines live."""

    @abstractmethod
    def kill(self) -> None:
        """End all engines as a crash would, loading or ready."""

    @abstractmethod
    def freeze(self) -> None:
        """Make all engines hang."""

    def runners(self) -> tuple[RunnerView, ...]:
        return tuple(self.herd.view().runners)

    def busy(self) -> int:
        return sum(runner.busy for runner in self.runners())

    def waiting(self) -> int:
        return sum(self.herd.view().waiting.values())

    def ready(self) -> bool:
        return any(runner.state is RunnerState.READY for runner in self.runners())

    @asynccontextmanager
    async def slot(
        self, of: Loadable | None = None, client: str = "me", want: Want = NO_WISH
    ) -> AsyncIterator[Slot]:
        async with self.herd.slot(of or self.model(), client, want) as slot:
            yield slot

    async def ask(
        self,
        of: Loadable | None = None,
        words: int = 3,
        want: Want = NO_WISH,
        began: asyncio.Event | None = None,
    ) -> int:
        """A whole request; how many records came back. `began` is set at the first."""
        count = 0
        body = {"prompt": "Hello", "n_predict": words, "ignore_eos": True, "stream": True}
        async with self.slot(of, "me", want) as slot, aclosing(slot.stream("/completion", body)) as stream:
            async for _ in stream:
                count += 1
                if began:
                    began.set()
        return count

    async def rested(self) -> None:
        """Nobody waits, nobody is served."""
        await soon(lambda: not self.busy() and not self.waiting(), "rest", within=5)


class FakeStage(Stage):
    def __init__(self, launcher: FakeLauncher, herd: Herd) -> None:
        self.launcher = launcher
        self.herd = herd

    def model(self, name: str = "a") -> Loadable:
        return model(name)

    def broken(self) -> Loadable:
        return model("broken-fails")

    def processes(self) -> int:
        return len(self.launcher.alive)

    def kill(self) -> None:
        self.launcher.kill()

    def freeze(self) -> None:
        for runner in self.launcher.runners.values():
            runner.mute = True


class RealStage(Stage):
    def __init__(self, herd: Herd, folder: Path, before: set[psutil.Process]) -> None:
        self.herd = herd
        self._folder = folder
        self._before = before
        self._models: dict[str, Loadable] = {}

    def model(self, name: str = "a") -> Loadable:
        """The bundled one, under a path of its own for each name: to the herd they are different models."""
        if name not in self._models:
            path = self._folder / f"{name}.gguf"
            path.symlink_to(TINY)
            self._models[name] = Loadable(name, demand_of(path), path)
        return self._models[name]

    def broken(self) -> Loadable:
        """Sound in all that is looked at before a load; the engine wants more of it."""
        path = self._folder / "broken.gguf"
        key = b"general.architecture"
        header = b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, len(key)) + key + struct.pack("<IQ", 8, 5) + b"alien"
        path.write_bytes(header.ljust(4096, b"\0"))
        return Loadable("broken", self.model("like this").demand, path)

    def processes(self) -> int:
        return len(self._engines())

    def kill(self) -> None:
        for process in self._engines():
            os.kill(process.pid, signal.SIGKILL)

    def freeze(self) -> None:
        for process in self._engines():
            os.kill(process.pid, signal.SIGSTOP)

    def _engines(self) -> list[psutil.Process]:
        return [process for process in descendants() - self._before if alive(process)]


@asynccontextmanager
async def fake_stage(policy: Policy = POLICY, stall: float | None = None) -> AsyncIterator[FakeStage]:
    launcher = FakeLauncher()
    herd = Herd(Scheduler(policy, checked=True), launcher, stall=stall)
    await herd.start()
    try:
        yield FakeStage(launcher, herd)
    finally:
        await herd.stop()
    assert not launcher.alive, "something was left running"
    assert not herd.view().runners, "Gone did not follow"


@asynccontextmanager
async def real_stage(
    rundir: RunDir, folder: Path, state: Path, policy: Policy = POLICY, stall: float | None = None
) -> AsyncIterator[RealStage]:
    settings = Settings(state=state)
    choice = EngineChoice([WheelEngine()], TINY, rundir, state / "engines.json")
    await choice.engine()
    herd = Herd(Scheduler(policy, checked=True), LocalLauncher(choice, rundir, settings), stall=stall)
    await herd.start()
    before = descendants()
    try:
        yield RealStage(herd, folder, before)
    finally:
        await herd.stop()
        await choice.close()
    assert not herd.view().runners, "Gone did not follow"
    await asyncio.sleep(0)
    assert list(rundir.path.iterdir()) == [], "a record or a socket was left"


__all__ = ["MIB", "POLICY", "SLOTS", "FakeStage", "RealStage", "Stage", "fake_stage", "real_stage"]
