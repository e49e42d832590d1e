"""A launcher without processes, for the herd: small, honest, and told by switches how to misbehave.

Its runners answer `/completion` with as many words as were asked for. What a launch or a runner does wrong is decided
by the model's name, as a set of words joined by `-`: `a-slow`, `b-fails`.

    slow     does not get ready before `ready` is set
    fails    the load ends with an error
    oom      the load runs out of memory
    brittle  dies while it loads
    mute     never answers, as a process that hangs
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from tropa.engines.launch import Address, Launch
from tropa.runners.child import Child
from tropa.runners.errors import LoadFailed, RunnerDied
from tropa.runners.loadable import Loadable
from tropa.runners.runner import Runner
from tropa.scheduler.actions import Load
from tropa.scheduler.demand import Demand, Layer
from tropa.scheduler.machine import CPU, Device, Kind, Usage

MIB = 1 << 20


def model(name: str, size: int = 100 * MIB) -> Loadable:
    """`name` says how it behaves, see above."""
    return Loadable(
        name, Demand(key=name, layers=(Layer(size),), trained_context=4096), Path(f"/{name}.gguf")
    )


class FakeChild(Child):
    """What the herd looks at of a process."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self.exited = asyncio.Event()
        self._on_end = on_end
        self._lines: deque[str] = deque()

    def end(self) -> None:
        """The process is gone, and its memory back."""
        if not self.exited.is_set():
            self._on_end()
            self.exited.set()

    @property
    def lines(self) -> deque[str]:
        return self._lines

    @property
    def status(self) -> int | None:
        return -9 if self.exited.is_set() else None

    def ending(self) -> str:
        return "signal: SIGKILL" if self.exited.is_set() else "still running"

    async def stop(self, grace: float = 0) -> None:
        await asyncio.sleep(0)
        self.end()

    async def kill(self) -> None:
        await self.stop()


class FakeRunner(Runner):
    child: FakeChild

    def __init__(self, launch: Launch, misbehaviour: set[str], on_end: Callable[[], None]) -> None:
        super().__init__(launch, FakeChild(on_end))
        self.mute = "mute" in misbehaviour
        self.streams = 0
        self._waiting_since: list[float] = []

    async def stop(self) -> None:
        await self.child.stop()

    async def call(
        self, method: str, path: str, body: Any = None, decode: Callable[[bytes], Any] = msgspec.json.decode
    ) -> Any:
        await self._word()
        return decode(b"{}")

    async def stream(self, path: str, body: Any) -> AsyncGenerator[bytes, None]:
        self.streams += 1
        assert self.streams <= self.launch.slots, "more requests than slots"
        try:
            for number in range(body["n_predict"]):
                await self._word()
                yield msgspec.json.encode({"content": f"{number} "})
        finally:
            self.streams -= 1

    def silence(self) -> float:
        return asyncio.get_running_loop().time() - min(self._waiting_since) if self._waiting_since else 0.0

    async def _word(self) -> None:
        """A word comes, or the end of the process."""
        began = asyncio.get_running_loop().time()
        self._waiting_since.append(began)
        try:
            if self.mute:
                await self.child.exited.wait()
            await asyncio.sleep(0)
            if self.child.exited.is_set():
                raise RunnerDied(self.child.ending())
        finally:
            self._waiting_since.remove(began)


class FakeLauncher:
    """A machine of `total` bytes. `alive` are the runners whose memory is taken; loads add to it at once."""

    def __init__(self, total: int = 10_000 * MIB) -> None:
        self.total = total
        self.alive: dict[int, str] = {}
        self.runners: dict[int, FakeRunner] = {}
        self.loads: list[str] = []
        self.ready = asyncio.Event()
        self._held: dict[int, int] = {}
        self._loading: dict[int, asyncio.Event] = {}

    def kill(self) -> None:
        """All processes end, as in a crash."""
        for killed in self._loading.values():
            killed.set()
        for runner in list(self.runners.values()):
            runner.child.end()

    async def launch(self, load: Load, model: Loadable) -> Runner:
        assert load.runner not in self.alive
        misbehaviour = set(model.name.split("-")[1:])
        self.loads.append(model.name)
        self.alive[load.runner] = model.name
        self._held[load.runner] = sum(load.placement.promised.values())
        try:
            await self._load(load.runner, slow="slow" in misbehaviour)
            if "fails" in misbehaviour:
                raise LoadFailed("the file is broken")
            if "oom" in misbehaviour:
                raise LoadFailed("cudaMalloc failed: out of memory", out_of_memory=True)
            if "brittle" in misbehaviour:
                raise LoadFailed("llama-server process has terminated: signal: SIGSEGV")
        except BaseException:
            try:
                await asyncio.sleep(0)
            finally:
                del self.alive[load.runner]
            raise
        placement = load.placement
        launch = Launch(
            model.weights, Address(), f"fake-{load.runner}", placement.context, placement.slots, threads=1
        )
        runner = FakeRunner(launch, misbehaviour, partial(self._gone, load.runner))
        self.runners[load.runner] = runner
        return runner

    async def _load(self, number: int, *, slow: bool) -> None:
        killed = self._loading[number] = asyncio.Event()
        at_once = asyncio.Event()
        at_once.set()
        ready = self.ready if slow else at_once
        ends = [asyncio.create_task(event.wait()) for event in (killed, ready)]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self._loading[number]
            for end in ends:
                end.cancel()
        if killed.is_set():
            raise LoadFailed("llama-server process has terminated: signal: SIGKILL")

    def _gone(self, number: int) -> None:
        del self.alive[number], self.runners[number]

    async def measure(self, runners: dict[int, Runner]) -> tuple[tuple[Device, ...], tuple[Usage, ...]]:
        await asyncio.sleep(0)
        taken = sum(self._held[number] for number in self.alive)
        usage = tuple(Usage(number, {CPU: self._held[number]}) for number in runners if number in self.alive)
        return (Device(CPU, Kind.CPU, self.total, self.total - taken),), usage

    async def release(self, load: Load) -> None:
        await asyncio.sleep(0)
        assert load.runner not in self.alive, "released before it had gone"

    def recall(self, model: Loadable) -> Demand:
        return model.demand

    def remember(self, load: Load, model: Loadable, usage: Usage) -> None:
        assert not usage.bytes or usage.bytes[CPU] >= self._held[load.runner]
