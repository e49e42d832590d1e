"""All runners: the shell round the pure scheduler. It performs what the scheduler decides and reports what became true.

State is the scheduler's and changes only in `_tell`, one event at a time. Each engine process is owned by one task
(`_life`) from its start to its end. Requests come in by `slot`, which never forgets one: it ends granted and
released, refused with a reason, or cancelled, whatever dies meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec

from tropa.errors import TropaError
from tropa.gguf.memory import padded
from tropa.runners import account
from tropa.runners.chronicle import Chronicle
from tropa.runners.errors import LoadFailed, RunnerDied
from tropa.runners.loadable import Loadable
from tropa.runners.runner import Runner
from tropa.scheduler import actions, events
from tropa.scheduler.core import Scheduler
from tropa.scheduler.demand import Demand, Want
from tropa.scheduler.machine import Device, Usage
from tropa.scheduler.plan import Plan
from tropa.scheduler.view import View

log = logging.getLogger("tropa.runners")

MEASURED_AFTER = (1, 8, 64)  # requests
OOM_FACTOR = 1.25  # a load that ran out of memory is remembered to need this much more than was promised


class Refused(TropaError):
    """The scheduler refused the request; `refusal` is its reason (`actions.Refusal`)."""

    code = "refused"

    def __init__(self, refusal: actions.Refusal, message: str) -> None:
        super().__init__(message)
        self.refusal = refusal


class Launcher(Protocol):
    """Starts runners on a node: the seam where another machine, or a fake, comes in."""

    async def launch(self, load: actions.Load, model: Loadable) -> Runner:
        """A runner that serves. Raises LoadFailed; whatever was started is gone by then, also on cancellation."""
        ...

    async def measure(self, runners: dict[int, Runner]) -> tuple[tuple[Device, ...], tuple[Usage, ...]]:
        """The machine's memory now, and what these runners hold of it."""
        ...

    async def release(self, load: actions.Load) -> None:
        """After a runner's process has gone: returns when its memory is free again."""
        ...

    def recall(self, model: Loadable) -> Demand:
        """The model's needs, with what loads of it were measured to take before. The same object while that stands."""
        ...

    def remember(self, load: actions.Load, model: Loadable, usage: Usage) -> None:
        """A load was measured: the next prediction for the same shape is this."""
        ...


class Slot:
    """A granted place in a runner. `context` is what this request may use, in tokens."""

    def __init__(self, runner: Runner, context: int, run: account.Run | None = None) -> None:
        self._runner = runner
        self.context = context
        self.slots = runner.launch.slots
        """Of the whole runner."""
        self.runner_context = padded(runner.launch.context)
        """What the engine would let it use: it rounds up what it was told."""
        self.run = run or account.Run()
        """What the work in it has cost so far."""

    def stream(self, path: str, body: Any) -> AsyncGenerator[bytes, None]:
        """See Runner.stream."""
        return self._runner.stream(path, body)

    async def call(self, path: str, body: Any, decode: Callable[[bytes], Any] = msgspec.json.decode) -> Any:
        """See Runner.call."""
        return await self._runner.call("POST", path, body, decode)

    async def props(self) -> dict[str, Any]:
        """What the engine says of itself (`GET /props`)."""
        answer = await self._runner.call("GET", "/props")
        return answer if isinstance(answer, dict) else {}

    async def busy(self) -> int:
        """In how many places the engine works right now, this one and others (`GET /slots`)."""
        answer = await self._runner.call("GET", "/slots")
        return sum(bool(each.get("is_processing")) for each in answer)

    @property
    def notes(self) -> dict[str, Any]:
        """What its users learnt about this runner; forgotten when it ends."""
        return self._runner.notes


class Herd:
    """One per server. `start` first, `stop` last."""

    def __init__(self, scheduler: Scheduler, launcher: Launcher, *, stall: float | None = None) -> None:
        """`stall`: seconds that somebody waits for a runner's next byte after which it counts as hung (None:
        never)."""
        self.scheduler = scheduler
        self.chronicle = Chronicle()
        self._launcher = launcher
        self._stall = stall
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[actions.Grant]] = {}
        self._models: dict[str, Loadable] = {}
        self._runners: dict[int, Runner] = {}
        self._loads: dict[int, tuple[actions.Load, Loadable]] = {}
        self._uses: dict[int, int] = {}
        self._began: dict[int, int] = {}
        self._ready: dict[int, int] = {}
        self._granted: set[int] = set()
        self._unload: dict[int, asyncio.Event] = {}
        self._lives: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._devices: tuple[Device, ...] = ()
        self._stopping = False
        self._idle = asyncio.Event()

    async def start(self) -> None:
        """Look at the machine for the first time."""
        devices, usage = await self._launcher.measure({})
        self._devices = devices
        self._tell(events.DevicesSeen(self._now(), devices, usage))

    async def stop(self, grace: float = 0.0) -> None:
        """Refuse who waits, give running requests `grace` seconds to finish, end every process; returns when all have
        gone. A second call, from another task, cuts the grace short."""
        if self._stopping:
            self._idle.set()
        self._stopping = True
        for number, waiting in [*self._waiting.items()]:
            if self._waiting.pop(number, None) is None:
                continue  # the end of another made room for it: it runs now, and has its grace
            if not waiting.done():
                waiting.set_exception(_shutting_down())
            self._tell(events.Cancelled(self._now(), number))
        if self._granted:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._idle.wait()
        self._tell(events.Shutdown(self._now()))
        while self._lives:
            await asyncio.wait(self._lives)
        if self._alarm:
            self._alarm.cancel()

    @asynccontextmanager
    async def slot(self, model: Loadable, client: str, want: Want) -> AsyncIterator[Slot]:
        """A slot of a runner for `model`; waits for it as long as it takes. Raises Refused."""
        if self._stopping:
            self.chronicle.refused(actions.Refusal.SHUTDOWN)
            raise _shutting_down()
        number = next(self._numbers)
        asked = time.monotonic_ns()  # the loop's own time is a millisecond coarse
        granted: asyncio.Future[actions.Grant] = asyncio.get_running_loop().create_future()
        self._waiting[number] = granted
        self._models[model.demand.key] = model
        demand = self._launcher.recall(model)
        self._tell(events.Asked(self._now(), number, client, model.name, demand, want))
        try:
            grant = await granted
        except Refused:
            raise
        except BaseException:
            account.current().waited(model.name, time.monotonic_ns() - asked, 0)
            if self._waiting.pop(number, None) is not None:
                self._tell(events.Cancelled(self._now(), number))
            else:  # answered in the same moment: if it was a grant, the slot is free again
                self._release(number)
            raise
        run = account.Run()
        try:
            waited, loaded = self._waited(grant.runner, asked)
            account.current().granted(model.name, grant.runner, waited - loaded, loaded)
            try:
                yield Slot(self._runner(grant.runner), grant.context, run)
            except RunnerDied as exc:
                self._notice_death(grant.runner)
                if self._stopping:
                    raise _shutting_down() from exc
                raise
        finally:
            account.current().cut(run)
            self._release(number)
            self._count_use(grant.runner)

    def _waited(self, number: int, asked: int) -> tuple[int, int]:
        """Nanoseconds since `asked`, and how many of them a runner took to load."""
        now = time.monotonic_ns()
        began, ready = self._began.get(number, now), self._ready.get(number, now)
        return now - asked, max(0, ready - max(began, asked))

    def unload(self, key: str) -> None:
        """Let a model go when its requests have ended."""
        self._tell(events.Unwanted(self._now(), key))

    def view(self) -> View:
        """All runners and who waits, now."""
        return self.scheduler.view(self._now())

    def plan(self, model: Loadable, client: str, want: Want) -> tuple[Plan, float]:
        """What `slot` would lead to now, and the time of the answer. Changes nothing."""
        now = self._now()
        return self.scheduler.plan(now, self._launcher.recall(model), model.name, want, client), now

    # Facts in, actions out.

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _tell(self, event: events.Event) -> None:
        for action in self.scheduler.handle(event):
            self._perform(action)

    def _perform(self, action: actions.Action) -> None:
        match action:
            # Who was cancelled a moment ago, and has not run since, has a cancelled future: `slot` deals with it.
            case actions.Grant(request=request):
                self._granted.add(request)
                waiting = self._waiting.pop(request)
                if not waiting.done():
                    waiting.set_result(action)
            case actions.Refuse(request=request, code=code, message=message):
                self.chronicle.refused(code)
                waiting = self._waiting.pop(request)
                if not waiting.done():
                    waiting.set_exception(Refused(code, message))
            case actions.Load():
                log.info("loading %s: %s", action.name, action.why)
                self._unload[action.runner] = asyncio.Event()
                self._began[action.runner] = time.monotonic_ns()
                self.chronicle.loading(action.runner, action.name)
                life = asyncio.create_task(self._life(action, self._models[action.key]))
                self._lives.add(life)
                life.add_done_callback(self._lived)
            case actions.Unload(runner=runner, ending=ending, why=why):
                self.chronicle.leaves(runner, ending)
                log.info("unloading runner %d: %s", runner, why)
                self._unload[runner].set()
            case actions.WakeAt(at=at):
                if self._alarm:
                    self._alarm.cancel()
                self._alarm = asyncio.get_running_loop().call_at(at, self._ring, at)
            case actions.Measure():
                self._start(self._measure())
            case actions.Explain(key=key, why=why):
                log.info("%s: %s", self._models[key].name if key in self._models else key, why)
            case actions.Snapshot():
                pass  # the cache that survives swaps has no owner yet; the policy does not ask for it

    def _ring(self, at: float) -> None:
        """The loop may ring a millisecond early; by the scheduler's clock it is then not yet time, and no other alarm
        is set."""
        self._tell(events.Tick(max(self._now(), at)))

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._lives.add(task)
        task.add_done_callback(self._lived)

    def _lived(self, task: asyncio.Task[None]) -> None:
        self._lives.discard(task)
        if not task.cancelled() and (exc := task.exception()):
            log.critical("a runner's task failed: this is a bug", exc_info=exc)

    def _runner(self, number: int) -> Runner:
        try:
            return self._runners[number]
        except KeyError:
            raise RunnerDied("the model runner ended before the request could start") from None

    def _notice_death(self, number: int) -> None:
        """Before the slots of a dead runner are free: or they would be given to the next in line, and to the next."""
        runner = self._runners.get(number)
        if runner is not None and runner.child.exited.is_set():
            self._tell(events.Died(self._now(), number, f"process ended ({runner.child.ending()})"))

    def _release(self, request: int) -> None:
        self._granted.discard(request)
        self._tell(events.Released(self._now(), request))
        if self._stopping and not self._granted:
            self._idle.set()

    def _count_use(self, number: int) -> None:
        """A runner touches its buffers when it works: what it holds is looked at again after its first requests."""
        if number in self._runners:
            self._uses[number] = uses = self._uses.get(number, 0) + 1
            if uses in MEASURED_AFTER:
                self._start(self._measure_again(number))

    async def _measure_again(self, number: int) -> None:
        if (runner := self._runners.get(number)) is None:
            return
        devices, measured = await self._launcher.measure({number: runner})
        if number in self._runners and measured:
            self._launcher.remember(*self._loads[number], measured[0])
            self._tell(events.DevicesSeen(self._now(), devices, measured))

    async def _measure(self) -> None:
        try:
            devices, usage = await self._launcher.measure(self._runners)
        except Exception:  # who waits must not wait for ever because a driver stumbled
            log.exception("the devices could not be measured: the last figures stand")
            devices, usage = self._devices, ()
        self._devices = devices
        self._tell(events.DevicesSeen(self._now(), devices, usage))

    # One runner's life.

    async def _life(self, load: actions.Load, model: Loadable) -> None:
        number = load.runner
        try:
            runner = await self._launch(load, model)
            if runner is not None:
                self._runners[number] = runner
                self._loads[number] = load, model
                try:
                    await self._serve(load, model, runner)
                finally:
                    del self._runners[number], self._loads[number]
                    self._uses.pop(number, None)
                    await runner.stop()
            await self._launcher.release(load)
        except LoadFailed as exc:
            log.warning("loading %s failed: %s", load.name, exc)
            self.chronicle.failed(number, out_of_memory=exc.out_of_memory)
            if exc.out_of_memory:
                self._remember_more(load, model)
            await self._launcher.release(load)
            self._tell(events.LoadFailed(self._now(), number, str(exc), exc.out_of_memory))
        except Exception as exc:
            self.chronicle.failed(number)
            self._tell(events.LoadFailed(self._now(), number, f"internal error: {exc}"))
            raise
        finally:
            del self._unload[number], self._began[number]
            self._ready.pop(number, None)
            self.chronicle.gone(number)
            self._tell(events.Gone(self._now(), number))

    def _remember_more(self, load: actions.Load, model: Loadable) -> None:
        """The engine wanted more than was promised: the next cold start must not try the same again.

        Once for each shape. What was remembered of a failure is a guess, and guesses upon guesses would in the end
        make the model too big for any machine.
        """
        place = load.placement
        shape = (place.context, place.slots, place.batch, place.gpu_layers)
        known = self._launcher.recall(model).measured
        if all((m.context, m.slots, m.batch, m.gpu_layers) != shape for m in known):
            more = {device: int(size * OOM_FACTOR) for device, size in place.promised.items()}
            self._launcher.remember(load, model, Usage(load.runner, more))

    async def _launch(self, load: actions.Load, model: Loadable) -> Runner | None:
        """The runner, or None if the scheduler wanted it unloaded before it was ready."""
        launching = asyncio.create_task(self._launcher.launch(load, model))
        unwanted = asyncio.create_task(self._unload[load.runner].wait())
        try:
            await asyncio.wait({launching, unwanted}, return_when=asyncio.FIRST_COMPLETED)
            if not launching.done():
                launching.cancel()
                with contextlib.suppress(asyncio.CancelledError, LoadFailed):
                    await (await launching).stop()
                return None
            return launching.result()
        finally:
            unwanted.cancel()

    async def _serve(self, load: actions.Load, model: Loadable, runner: Runner) -> None:
        """From ready to the end: by the scheduler's wish, by a crash, or by hanging."""
        number = load.runner
        _, measured = await self._launcher.measure({number: runner})
        usage = next((usage for usage in measured if usage.runner == number), Usage(number, {}))
        self._launcher.remember(load, model, usage)
        self._ready[number] = time.monotonic_ns()
        self.chronicle.ready(number)
        self._tell(
            events.Loaded(
                self._now(), number, load.placement.context, load.placement.slots, usage.bytes, usage.mapped
            )
        )
        unwanted = asyncio.create_task(self._unload[number].wait())
        exited = asyncio.create_task(runner.child.exited.wait())
        hung = asyncio.create_task(self._hangs(runner))
        try:
            done, _ = await asyncio.wait({unwanted, exited, hung}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (unwanted, exited, hung):
                task.cancel()
        if unwanted not in done:
            reason = "it can't be reached any more" if runner.lost.is_set() else "it hangs"
            if exited in done:
                reason = f"process ended ({runner.child.ending()})"
            log.error("runner %d (%s) died: %s", number, load.name, reason)
            self.chronicle.leaves(number, None)
            self._tell(events.Died(self._now(), number, reason))
            if hung in done:
                await runner.child.kill()

    async def _hangs(self, runner: Runner) -> None:
        """Returns when the runner can't be reached, or has kept somebody waiting for too long. A client that is slow
        to read its own answer keeps nobody waiting."""
        step = None if self._stall is None else min(self._stall / 4, 10.0)
        while self._stall is None or runner.silence() <= self._stall:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(step):
                    await runner.lost.wait()
                    return


def _shutting_down() -> Refused:
    return Refused(actions.Refusal.SHUTDOWN, "server is shutting down")
