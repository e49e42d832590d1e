"""What `tropa doctor` finds out about this machine: everything that a server started now would meet.

Nothing is changed by looking: no model is loaded into a server, nothing in the store is tidied, no verdict is
remembered. The engine is really tried, in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tropa.devices import host
from tropa.devices.budget import parse_budget
from tropa.devices.device import DeviceMemory
from tropa.devices.inventory import devices
from tropa.engines.candidates import candidates
from tropa.engines.engine import Engine
from tropa.engines.wheel import WheelEngine
from tropa.errors import TropaError
from tropa.library.architectures import SUPPORTED
from tropa.library.bundled import packaged
from tropa.library.library import Library
from tropa.runners.choice import PROBE_LIMIT, Verdict, fingerprint, probe
from tropa.runners.rundir import RunDir
from tropa.server.access import BadOrigin, Origins
from tropa.server.keys import OpenToAll, check, forget_keys
from tropa.server.listener import CannotListen, listen
from tropa.settings import Settings
from tropa.text.sizes import format_size

LITTLE_SPACE = 2_000_000_000
"""Bytes below which hardly any model can be fetched."""

SERVICES_STORE = "usr/share/ollama/.ollama/models"
"""Where Ollama's installer has its service keep models, from the root."""

# What the engine's kernels make use of, as Linux spells it for x86 and ARM.
FEATURES = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16"),
    *("amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "sve", "sve2", "bf16"),
)


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"  # works, but not as well as it could
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `advice` is what to do about it; `facts` are the numbers, for programs."""

    topic: str
    level: Level
    text: str
    advice: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def diagnose(settings: Settings) -> list[Finding]:
    """Everything but the address, in the order in which one asks. Takes as long as the engine's probe: seconds."""
    engines, libraries = _tried(settings)
    found = [*engines, processor()]
    there = devices()
    found += [memory(there[0]), *budget(settings, there), *gpus(there[1:], libraries)]
    found.append(store(settings))
    return [*found, *services_store(settings), *state(settings), *origins(settings)]


def _tried(settings: Settings) -> tuple[list[Finding], frozenset[str]]:
    forget_keys()  # as a server does
    try:
        return asyncio.run(try_engines(candidates(settings.llama_server), settings.state / "engines.json"))
    except TropaError as error:  # no such executable, or no place for its socket
        return [Finding("engine", Level.BROKEN, str(error), error.hint or "")], frozenset()


async def try_engines(engines: list[Engine], memory_file: Path) -> tuple[list[Finding], frozenset[str]]:
    """A finding for each engine up to the first that works, and the GPU libraries that this one can use."""
    found: list[Finding] = []
    rundir = RunDir()
    rundir.open()
    try:
        for engine in engines:
            verdict = await _verdict(engine, rundir)
            finding = engine_finding(engine, verdict, _remembered(engine, memory_file), memory_file)
            last = engine is engines[-1]
            if finding.level is Level.BROKEN and not last:  # the next one may do
                finding = Finding("engine", Level.NOTE, finding.text, finding.advice, finding.facts)
            found.append(finding)
            if not verdict.complaint:
                return found, verdict.libraries
    finally:
        rundir.close()
    return found, frozenset()


def engine_finding(engine: Engine, verdict: Verdict, remembered: str, memory_file: Path) -> Finding:
    """`remembered` is what the server would complain about without trying; empty if it would not."""
    facts = {
        "engine": engine.name,
        "works": not verdict.complaint,
        "complaint": verdict.complaint,
        "libraries": sorted(verdict.libraries),
    }
    if verdict.complaint:
        advice = "set TROPA_LLAMA_SERVER to a llama-server that is built for this machine"
        if isinstance(engine, WheelEngine) and not _is_there(engine):
            advice = f"install tropa anew (pip install --force-reinstall tropa), or {advice}"
        return Finding("engine", Level.BROKEN, f"{engine.name} fails: {verdict.complaint}", advice, facts)
    if remembered:
        text = f"{engine.name} works now, but is set aside because it once failed: {remembered}"
        return Finding("engine", Level.NOTE, text, f"delete {memory_file} and restart the server", facts)
    return Finding("engine", Level.OK, f"{engine.name} works: it answered with the bundled model", "", facts)


async def _verdict(engine: Engine, rundir: RunDir) -> Verdict:
    try:
        engine.file.stat()
        async with asyncio.timeout(PROBE_LIMIT):
            return await probe(engine, packaged().path, rundir)
    except TimeoutError:
        return Verdict(f"no answer within {PROBE_LIMIT:.0f} s")
    except OSError as exc:
        return Verdict(f"it cannot be started: {exc}")


def _is_there(engine: Engine) -> bool:
    try:
        return engine.file.is_file()
    except OSError:
        return False


def _remembered(engine: Engine, memory_file: Path) -> str:
    try:
        return str(json.loads(memory_file.read_text())[fingerprint(engine)]["complaint"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def processor(root: Path = Path("/")) -> Finding:
    model, features = _cpuinfo(root)
    cores = host.cores(root)
    facts = {"model": model, "machine": platform.machine(), "features": features, "cores": cores}
    name = f"{model or platform.machine()}, {cores} {'core' if cores == 1 else 'cores'} for us"
    text = f"{name}, {' '.join(features) or 'features unknown'}"
    if platform.machine().lower() in {"x86_64", "amd64"} and features and "avx2" not in features:
        advice = "expect slow answers; under a hypervisor, pass the host's processor through"
        return Finding("cpu", Level.NOTE, f"{text}: there is no avx2", advice, facts)
    return Finding("cpu", Level.OK, text, "", facts)


def _cpuinfo(root: Path) -> tuple[str, list[str]]:
    """The processor's name and those of its features that matter; empty where the system does not say."""
    model, flags = "", set[str]()
    try:
        lines = (root / "proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor(), []
    for line in lines:
        name, _, value = line.partition(":")
        match name.strip():
            case "model name":
                model = model or value.strip()
            case "flags" | "Features":
                flags.update(value.split())
    return model, [feature for feature in FEATURES if feature in flags]


def memory(cpu: DeviceMemory, root: Path = Path("/")) -> Finding:
    known = host.meminfo(root) or {}
    installed = known.get("MemTotal", cpu.total)
    facts = {"total": cpu.total, "free": cpu.free, "installed": installed}
    text = f"{format_size(cpu.free)} free of {format_size(cpu.total)}"
    if cpu.total < installed:
        text += f" (a control group allows that much of {format_size(installed)})"
    if cpu.free < LITTLE_SPACE:
        return Finding("memory", Level.NOTE, text, "only the smallest models fit: end other programs", facts)
    return Finding("memory", Level.OK, text, "", facts)


def budget(settings: Settings, there: Iterable[DeviceMemory]) -> list[Finding]:
    """`TROPA_MEMORY_LIMIT`, if there is one."""
    if not settings.memory_limit:
        return []
    try:
        limits = parse_budget(settings.memory_limit).resolve(list(there))
    except TropaError as error:
        return [Finding("budget", Level.BROKEN, str(error), "correct TROPA_MEMORY_LIMIT")]
    parts = [f"{name} {format_size(size)}" for name, size in limits.per_device]
    if limits.total is not None:
        parts.insert(0, format_size(limits.total))
    facts = {"total": limits.total, "devices": dict(limits.per_device)}
    return [Finding("budget", Level.OK, f"models may take {', '.join(parts)}", "", facts)]


def gpus(there: Iterable[DeviceMemory], libraries: frozenset[str]) -> list[Finding]:
    """`libraries`: those that the engine can use."""
    found: list[Finding] = []
    for gpu in there:
        usable = gpu.library in libraries
        facts = {"id": gpu.id, "name": gpu.name, "total": gpu.total, "free": gpu.free, "usable": usable}
        text = f"{gpu.id} {gpu.name}: {format_size(gpu.free)} free of {format_size(gpu.total)}"
        if usable:
            found.append(Finding("gpu", Level.OK, text, "", facts))
        else:
            advice = f"set TROPA_LLAMA_SERVER to a llama-server that is built for {gpu.library}"
            found.append(Finding("gpu", Level.NOTE, f"{text}; the engine cannot use it", advice, facts))
    return found or [Finding("gpu", Level.OK, "none: models run on the CPU")]


def _standing(folder: Path) -> Path:
    """The folder itself, or what there is of the way to it, as far as we may look."""
    return next(each for each in (folder, *folder.parents) if _exists(each))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # it is behind a folder that we may not enter
        return False


def state(settings: Settings) -> list[Finding]:
    """Only if something is wrong with it: nobody needs to know of this folder otherwise."""
    standing = _standing(settings.state.expanduser())
    if standing.is_dir() and os.access(standing, os.W_OK | os.X_OK):
        return []
    text = (
        f"{settings.state} cannot be written to: how much memory models need is learnt anew after each start"
    )
    return [Finding("state", Level.NOTE, text, "set TROPA_STATE to a folder that this user may write to")]


def origins(settings: Settings) -> list[Finding]:
    try:
        Origins(settings.origins)
    except BadOrigin as error:
        refused = "correct it: the server would refuse to start"
        return [Finding("settings", Level.BROKEN, str(error), refused)]
    return []


def store(settings: Settings) -> Finding:
    root = settings.models.expanduser()
    standing = _standing(root)
    facts: dict[str, object] = {"path": str(root), "exists": standing == root}
    if not standing.is_dir():
        return Finding(
            "store", Level.BROKEN, f"{standing} is no folder", "set OLLAMA_MODELS to another", facts
        )
    facts["writable"] = writable = os.access(standing, os.W_OK | os.X_OK)
    facts["free"] = free = shutil.disk_usage(standing).free
    library = Library(root, packaged(), architectures=None if settings.llama_server else SUPPORTED)
    try:
        models = library.models()
    except (TropaError, OSError) as exc:
        return Finding("store", Level.BROKEN, f"{root} cannot be read: {exc}", "see who owns it", facts)
    damaged = [str(model.name) for model in models if model.problems]
    facts |= {"models": len(models), "damaged": damaged}
    text = f"{root}: {len(models)} {'model' if len(models) == 1 else 'models'}, {format_size(free)} free"
    if not writable:
        advice = f"make {standing} writable for this user, or set OLLAMA_MODELS to a folder that is"
        return Finding("store", Level.BROKEN, f"{text}; it cannot be written to", advice, facts)
    if damaged:
        advice = "pull or create them anew, or remove them with: tropa rm " + " ".join(damaged)
        return Finding("store", Level.NOTE, f"{text}; damaged: {', '.join(damaged)}", advice, facts)
    if free < LITTLE_SPACE:
        advice = "make room there, or set OLLAMA_MODELS to a folder on a larger disk"
        return Finding("store", Level.NOTE, f"{text}: hardly any model fits", advice, facts)
    return Finding("store", Level.OK, text, "", facts)


def services_store(settings: Settings, root: Path = Path("/")) -> list[Finding]:
    """Whoever comes from an Ollama that ran as a service has models there, and looks for them here."""
    theirs = root / SERVICES_STORE
    if settings.models.expanduser() == theirs or not _exists(theirs.parents[1]):
        return []
    facts: dict[str, object] = {"path": str(theirs)}
    try:
        next(theirs.iterdir(), None)
        facts["models"] = count = len(Library(theirs).models())
    except PermissionError:
        text = f"{theirs}, where Ollama's service keeps its models, may not be read by this user"
        advice = f"to use them, join the group that may read it, and set OLLAMA_MODELS={theirs}"
        return [Finding("store", Level.NOTE, text, advice, facts)]
    except (TropaError, OSError):
        return []
    if not count:
        return []
    text = f"{theirs} has {count} {'model' if count == 1 else 'models'} of Ollama's service, not used here"
    return [Finding("store", Level.NOTE, text, f"to use them, set OLLAMA_MODELS={theirs}", facts)]


def cannot_listen(name: str, port: int) -> str:
    """Why a server could not listen there; empty if it could."""
    try:
        listen(name, port).close()
    except CannotListen as error:
        return str(error)
    return ""


def closed_to_servers(settings: Settings) -> OpenToAll | None:
    """Why a server would refuse to be reachable there, if it would."""
    try:
        check(settings)
    except OpenToAll as error:
        return error
    return None


def holder(port: int) -> str:
    """Who listens on `port`, as `name (pid 12)`; empty if the system does not say (another user's process)."""
    import psutil

    try:
        for number, pid in _listening():
            if number == port and pid:
                return f"{psutil.Process(pid).name()} (pid {pid})"
    except (psutil.Error, OSError):
        pass
    return ""


def _listening() -> Iterable[tuple[int, int | None]]:
    import psutil

    for each in psutil.net_connections(kind="tcp"):
        if each.status == psutil.CONN_LISTEN and each.laddr:
            yield each.laddr.port, each.pid
