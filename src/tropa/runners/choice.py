"""The choice of an engine: the first candidate that has proved itself on this machine.

An engine can start and still die in its first matrix product (a build for other instructions), so it is accepted
only after it has answered with the bundled model, in a process whose crash is no one's loss. What was found out is
remembered per engine file and machine, in a file that may be deleted at any time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tropa.engines.engine import Engine
from tropa.engines.launch import Launch
from tropa.engines.listing import libraries
from tropa.runners.child import Child
from tropa.runners.errors import EngineRefused, LoadFailed, RunnerDied
from tropa.runners.rundir import RunDir
from tropa.runners.runner import Runner

log = logging.getLogger("tropa.engines")

PROBE_LIMIT = 120.0  # seconds: a slow disk is no reason to set an engine aside
PROBE_TOKENS = 4


class NoEngine(LoadFailed):
    """Every candidate failed its probe."""

    code = "no-engine"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a probe showed; `complaint` is empty if the engine works. `libraries`: the GPUs it can use. `lasting`: it is
    remembered."""

    complaint: str = ""
    libraries: frozenset[str] = frozenset()
    lasting: bool = True


class EngineChoice:
    """Probes candidates in order, once, and keeps the answer."""

    def __init__(self, candidates: list[Engine], model: Path, rundir: RunDir, memory: Path) -> None:
        """`model` is what they are probed with; `memory` the file in which verdicts are remembered."""
        self._candidates = candidates
        self._model = model
        self._rundir = rundir
        self._memory = memory
        self._choosing: asyncio.Task[Engine] | None = None
        self.name = ""
        """Of the chosen engine; empty until one is chosen."""
        self.libraries: frozenset[str] = frozenset()
        """What sorts of GPU the chosen engine can use; empty until one is chosen."""

    async def engine(self) -> Engine:
        """The engine to use. Raises NoEngine. Many may ask at once: the probe runs once."""
        if self._choosing is None or (self._choosing.done() and self._failed(self._choosing)):
            self._choosing = asyncio.create_task(self._choose())
        return await asyncio.shield(self._choosing)

    async def close(self) -> None:
        """Stop a probe that still runs."""
        if self._choosing:
            self._choosing.cancel()
            await asyncio.wait({self._choosing})

    @staticmethod
    def _failed(task: asyncio.Task[Engine]) -> bool:
        return task.cancelled() or task.exception() is not None

    async def _choose(self) -> Engine:
        complaints: list[str] = []
        for engine in self._candidates:
            verdict = await self._verdict(engine)
            if not verdict.complaint:
                self.name, self.libraries = engine.name, verdict.libraries
                return engine
            complaints.append(f"{engine.name}: {verdict.complaint}")
            log.error("the engine %s is set aside: %s", engine.name, verdict.complaint)
            if verdict.lasting:
                log.error(
                    "this is remembered until its file changes; to try it again, delete %s", self._memory
                )
        raise NoEngine("no engine works on this machine: " + "; ".join(complaints))

    async def _verdict(self, engine: Engine) -> Verdict:
        try:
            key = fingerprint(engine)
        except OSError as exc:
            return Verdict(f"it cannot be read: {exc}", lasting=False)
        remembered = _read(self._memory)
        if (entry := remembered.get(key)) is not None:
            return _remembered(entry)
        try:
            async with asyncio.timeout(PROBE_LIMIT):
                verdict = await probe(engine, self._model, self._rundir)
        except TimeoutError:
            return Verdict(f"no answer within {PROBE_LIMIT:.0f} s", lasting=False)  # the machine may be busy
        entry = {
            "engine": engine.name,
            "complaint": verdict.complaint,
            "libraries": sorted(verdict.libraries),
        }
        _write(self._memory, {**remembered, key: entry})
        return verdict


async def probe(engine: Engine, model: Path, rundir: RunDir) -> Verdict:
    """Have `engine` generate a few tokens in a child process, and say which devices it can use."""
    berth = rundir.berth()
    launch = Launch(model=model, address=berth.address, alias=berth.alias, context=256, slots=1, threads=1)

    def record(child: Child) -> None:
        rundir.record(berth.alias, child.pid)

    try:
        runner = await Runner.load(engine, launch, on_start=record)
        try:
            body = {"prompt": "Hello", "n_predict": PROBE_TOKENS, "temperature": 0, "ignore_eos": True}
            answer = await runner.call("POST", "/completion", body)
        finally:
            await runner.stop()
    except (LoadFailed, RunnerDied, EngineRefused) as exc:
        return Verdict(str(exc))
    finally:
        rundir.forget(berth.alias)
    generated = answer.get("tokens_predicted") if isinstance(answer, dict) else None
    if generated != PROBE_TOKENS:
        return Verdict(f"asked for {PROBE_TOKENS} tokens, it generated {generated}")
    listing = await Child.start(engine.listing())
    try:
        await listing.exited.wait()
    finally:
        await listing.kill()
    return Verdict(libraries=libraries("\n".join(listing.lines)))


def fingerprint(engine: Engine) -> str:
    """Changes when the engine's file or the machine does."""
    stat = engine.file.stat()
    parts = [engine.name, str(engine.file), stat.st_size, stat.st_mtime_ns, platform.machine(), _processor()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _processor() -> str:
    """What the processor can do: an engine that works on one may not on another with the same disk."""
    try:
        with Path("/proc/cpuinfo").open() as lines:
            return "".join(
                sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
            )
    except OSError:
        return platform.processor()


def _remembered(entry: dict[str, Any]) -> Verdict:
    libraries = entry.get("libraries")
    known = [name for name in libraries if isinstance(name, str)] if isinstance(libraries, list) else []
    return Verdict(str(entry.get("complaint", "")), frozenset(known))


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in content.items() if isinstance(v, dict)} if isinstance(content, dict) else {}


def _write(path: Path, content: dict[str, Any]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.part")
        partial.write_text(json.dumps(content, indent=1))
        partial.replace(path)
    except OSError as exc:
        log.warning("cannot remember the engine's probe in %s: %s", path, exc)
