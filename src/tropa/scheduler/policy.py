"""The user's settings, as far as decisions depend on them. Read elsewhere, frozen, handed in once."""

from __future__ import annotations

import math
from dataclasses import dataclass

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Policy:
    """Times are seconds, sizes bytes. None means automatic."""

    max_loaded: int | None = None
    """OLLAMA_MAX_LOADED_MODELS; automatic: 3 x GPUs, or 3 on the CPU."""
    num_parallel: int | None = None
    """OLLAMA_NUM_PARALLEL; automatic: 4 if memory allows, else 1, decided at load."""
    auto_parallel: int = 4
    max_queue: int = 512
    """OLLAMA_MAX_QUEUE: requests that may wait, over all models."""
    keep_alive: float = 300.0
    """OLLAMA_KEEP_ALIVE; inf for ever."""
    default_context: int = 4096
    """Per slot, when nobody asked."""
    small_context: int = 4096
    """An automatic context is halved down to this when the default doesn't fit the machine. Set it to the
    default when that came from the user."""
    default_batch: int = 512
    memory_limit: int | None = None
    """TROPA_MEMORY_LIMIT for all devices together."""
    device_limits: tuple[tuple[str, int], ...] = ()
    """TROPA_MEMORY_LIMIT per device id."""
    gpu_overhead: int = 0
    """OLLAMA_GPU_OVERHEAD: left alone on each GPU."""
    spread: bool = False
    """OLLAMA_SCHED_SPREAD: use every GPU for every model."""
    patience: float = 3.0
    """How long a model may wait before a busy runner stops taking new requests to make room for it."""
    residency_least: float = 2.0
    residency_most: float = 60.0
    residency_factor: float = 4.0
    """A model just loaded serves, while it has work, for `factor` x the seconds its load took, within these
    bounds: between them, a share of 1/(1+factor) of the time at most goes into loading."""
    linger: float = 0.2
    """Within its residency a runner idle for less than this still counts as having work: a program that asks
    again as soon as it is answered would otherwise lose the model after every answer."""
    load_attempts: int = 1
    """Failed loads in a row (not for want of memory) before those waiting get the reason."""
    crash_limit: int = 3
    """Deaths in a row without one finished request before those waiting get the reason."""
    oom_margin: float = 1.25
    """After the engine ran out of memory at load, the one retry reserves this much more than predicted."""
    fresh: float = 1.0
    """A measurement older than this is renewed (Measure) before a load or refusal rests on it; inf: never."""
    window: int = 4
    """How many models that can't be placed yet are looked past in search of one that can, each with room reserved
    for it. More costs more and serves no more (benchmarks/scheduler_cost.py --windows)."""
    snapshot: bool = False
    """Ask for a Snapshot before unloading a runner that has served."""
    history: int = 512
    """(event, actions) pairs kept for a bug report."""

    def __post_init__(self) -> None:
        # Settings are checked where they are read; these would only make the scheduler wait for ever.
        if min(self.max_loaded or 1, self.num_parallel or 1, self.auto_parallel, self.window) < 1:
            raise ValueError(f"a policy that can load nothing: {self}")

    @property
    def watches_memory(self) -> bool:
        """Whether measurements are asked for at all."""
        return self.fresh < math.inf
