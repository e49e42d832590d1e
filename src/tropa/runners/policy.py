"""The user's settings in the scheduler's words."""

from __future__ import annotations

from tropa.scheduler.policy import Policy
from tropa.settings import Settings

DEFAULT_CONTEXT = 4096  # tokens per slot


def policy(settings: Settings) -> Policy:
    """What the scheduler may do on this machine. Memory limits are resolved when devices are first seen."""
    context = settings.context_length or DEFAULT_CONTEXT
    return Policy(
        max_loaded=settings.max_loaded_models,
        num_parallel=settings.num_parallel,
        max_queue=settings.max_queue,
        keep_alive=settings.keep_alive,
        default_context=context,
        small_context=context,
        gpu_overhead=settings.gpu_overhead,
        spread=settings.sched_spread,
    )
