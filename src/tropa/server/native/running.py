"""`GET /api/ps`: the loaded models."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.types import Receive, Scope, Send

from tropa.scheduler.actions import Fit
from tropa.scheduler.machine import CPU
from tropa.scheduler.view import RunnerState, RunnerView
from tropa.server.clock import local
from tropa.server.native.details import details
from tropa.server.respond import send_json
from tropa.service.service import Service

FOR_EVER = timedelta(days=292 * 365)  # what the reference shows: the most that 64 bits of nanoseconds hold


async def ps(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """`GET /api/ps`"""
    view = service.herd.view()
    now = datetime.now(UTC)
    shown = [each for each in view.runners if each.state is not RunnerState.LOADING]
    entries = [(_expiry(each, view.at, now), each) for each in shown]
    entries.sort(key=lambda entry: entry[0], reverse=True)
    await send_json(send, {"models": [_entry(service, each, expiry) for expiry, each in entries]})


def _expiry(runner: RunnerView, at: float, now: datetime) -> datetime:
    if runner.state is RunnerState.STOPPING:
        return now - timedelta(seconds=1)  # in the past: clients show "Stopping..."
    left = runner.expires_at - at
    return now + (FOR_EVER if left == math.inf else timedelta(seconds=min(left, FOR_EVER.total_seconds())))


def _entry(service: Service, runner: RunnerView, expiry: datetime) -> dict[str, Any]:
    on_gpus = sum(value for device, value in runner.bytes.items() if device != CPU)
    # With every layer on GPUs the two sizes are the same to all clients ("100% GPU"): what the process itself holds
    # of the CPU's memory is no part of the model.
    size = on_gpus if runner.placement.fit is Fit.GPU else sum(runner.bytes.values())
    entry: dict[str, Any] = {"name": runner.name, "model": runner.name, "size": size}
    model = service.models.loaded(runner.name)
    entry |= {"digest": model.id, "details": details(model) | {"parent_model": ""}}
    return entry | {
        "expires_at": local(expiry),
        "size_vram": on_gpus,
        "context_length": runner.context,
        # Beyond the reference:
        "memory": dict(runner.bytes),
        "context_allocated": runner.context * runner.slots,
        "slots": runner.slots,
        "slots_busy": runner.busy,
        "waiting": runner.waiting,
        "state": runner.state.value,
    }
