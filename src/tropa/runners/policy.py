"""The user's settings and the machine's size, in the scheduler's words."""

from __future__ import annotations

from collections.abc import Sequence

from tropa.devices.budget import parse_budget
from tropa.scheduler.machine import Device, Kind
from tropa.scheduler.policy import Policy
from tropa.settings import Settings

GIB = 1 << 30
SMALL_CONTEXT = 4096  # tokens per slot
# Total memory of all GPUs, and the context that requests get on such a machine when nobody says.
CONTEXT_TIERS = ((47 * GIB, 262144), (23 * GIB, 32768))


def policy(settings: Settings, devices: Sequence[Device]) -> Policy:
    """What the scheduler may do on a machine with these devices. Raises BadBudget for one that has no sense here."""
    automatic = _automatic_context(settings, devices)
    limits = parse_budget(settings.memory_limit).resolve(devices) if settings.memory_limit else None
    return Policy(
        max_loaded=settings.max_loaded_models,
        num_parallel=settings.num_parallel,
        max_queue=settings.max_queue,
        keep_alive=settings.keep_alive,
        default_context=settings.context_length or automatic,
        small_context=settings.context_length or SMALL_CONTEXT,
        memory_limit=limits.total if limits else None,
        device_limits=limits.per_device if limits else (),
        gpu_overhead=settings.gpu_overhead,
        spread=settings.sched_spread,
    )


def _automatic_context(settings: Settings, devices: Sequence[Device]) -> int:
    gpus = [device for device in devices if device.kind is Kind.GPU]
    total = sum(max(0, gpu.total - settings.gpu_overhead) for gpu in gpus)
    return next((context for least, context in CONTEXT_TIERS if total >= least), SMALL_CONTEXT)
