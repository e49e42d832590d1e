"""What `ps` and metrics show: a picture of the state, made on demand, that nothing is decided by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from tropa.scheduler.actions import Placement
from tropa.scheduler.ledger import ALL
from tropa.scheduler.runner import Phase, Runner
from tropa.scheduler.state import State


class RunnerState(StrEnum):
    """The phases users see: draining is one of them here."""

    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class RunnerView:
    """One runner. `bytes` is what it holds per device (promised while loading, measured once ready)."""

    runner: int
    key: str
    name: str
    state: RunnerState
    busy: int
    slots: int
    context: int
    """Per slot."""
    bytes: Mapping[str, int]
    placement: Placement
    expires_at: float
    """Scheduler time; inf for ever. While busy: if its last request ended now."""
    keep_alive: float
    pinned: bool
    waiting: int
    """Requests waiting for the model."""
    served: int
    since: float
    why: str
    """For whom it drains, or why it stops."""


@dataclass(frozen=True, slots=True)
class DeviceView:
    """One device's memory as the scheduler reckons."""

    id: str
    total: int
    available: int
    """For models: less what others use, within the user's limits."""
    promised: int
    foreign: int


@dataclass(frozen=True, slots=True)
class View:
    """Everything, at one moment."""

    at: float
    runners: tuple[RunnerView, ...]
    waiting: Mapping[str, int]
    """Waiting requests by key, loaded or not."""
    line: tuple[str, ...]
    """Keys that need a load, next first."""
    devices: tuple[DeviceView, ...]
    max_loaded: int


def view(state: State, now: float) -> View:
    """The state at a time that is at least that of the last event."""
    ledger = state.ledger
    devices = tuple(
        DeviceView(
            id=device.id,
            total=device.total,
            available=ledger.capacity[device.id],
            promised=ledger.taken(device.id),
            foreign=ledger.foreign(device.id),
        )
        for device in ledger.devices.values()
    )
    return View(
        at=now,
        runners=tuple(_runner(state, runner, now) for runner in state.runners.values()),
        waiting={model.key: model.waiting for model in state.models.values() if model.waiting},
        line=tuple(state.line),
        devices=devices,
        max_loaded=state.max_loaded,
    )


def _runner(state: State, runner: Runner, now: float) -> RunnerView:
    model = state.models.get(runner.key)
    own = model is not None and model.runner is runner
    held = state.ledger.held(runner.id)
    if runner.phase is Phase.LEAVING:
        shown, why = RunnerState.STOPPING, runner.why_leaving
    elif runner.draining_for is not None:
        shown, why = RunnerState.DRAINING, f"makes room for {state.named(runner.draining_for)}"
    else:
        shown, why = RunnerState(runner.phase.value), ""
    idle = runner.idle and runner.phase is Phase.READY
    return RunnerView(
        runner=runner.id,
        key=runner.key,
        name=runner.name,
        state=shown,
        busy=len(runner.busy),
        slots=runner.slots or runner.placement.slots,
        context=runner.context or runner.placement.context,
        bytes={device: held.get(device, 0) for device in held if device != ALL},
        placement=runner.placement,
        expires_at=runner.expires_at if idle else now + runner.duration,
        keep_alive=runner.duration,
        pinned=runner.pinned,
        waiting=model.waiting if model is not None and own else 0,
        served=runner.served,
        since=runner.started_at,
        why=why,
    )
