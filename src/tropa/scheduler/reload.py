"""Reuse or reload: the one list of what a loaded runner can't do for a request, each with its reason.

Everything else a request may carry (sampling, stop, keep_alive, use_mmap ...) never reloads. Both sides are
brought to one form first, a :class:`Shape`: context per slot, capped to the trained length, never multiplied
by the slots. Comparing a product with a per-slot number is how every request came to reload the model in
Ollama 0.2.0 with OLLAMA_NUM_PARALLEL > 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tropa.scheduler.actions import Placement
from tropa.scheduler.demand import Demand, Want


@dataclass(frozen=True, slots=True)
class Shape:
    """What a request needs of a runner, normalised. None: anything will do."""

    context: int | None = None
    slots: int | None = None
    batch: int | None = None
    gpu_layers: int | None = None
    main_gpu: int | None = None
    threads: int | None = None
    flash_attention: bool | None = None
    kv_type: str | None = None
    draft_tokens: int | None = None
    context_shift: bool | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """What a runner was launched with."""

    context: int
    slots: int
    batch: int
    gpu_layers: int
    gpus: tuple[int, ...]
    """Indices among the machine's GPUs at launch."""
    asked: Shape


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a runner can't serve a shape. `upward`: a bigger runner would serve both."""

    reasons: tuple[str, ...]
    upward: bool


def shape_of(demand: Demand, want: Want) -> Shape:
    """The normal form of a wish. The same capping for every request: asking for more than the model was
    trained for is asking for what it was trained for."""
    context = want.context
    if context is not None:
        context = cap_context(demand, context)
    slots = want.slots
    if slots is not None and demand.max_slots:
        slots = min(slots, demand.max_slots)
    layers = want.num_gpu
    layers = None if layers is None or layers < 0 else min(layers, demand.pieces)
    return Shape(
        context=context,
        slots=slots,
        batch=want.num_batch,
        gpu_layers=layers,
        main_gpu=want.main_gpu,
        threads=want.num_thread or None,
        flash_attention=want.flash_attention,
        kv_type=want.kv_type,
        draft_tokens=want.draft_tokens,
        context_shift=want.context_shift,
    )


def cap_context(demand: Demand, context: int) -> int:
    """A context the model can be loaded with."""
    context = max(context, demand.minimum_context)
    return min(context, demand.trained_context) if demand.trained_context else context


def setup_of(placement: Placement, asked: Shape, gpu_ids: Iterable[str]) -> Setup:
    """What a load will have been launched with."""
    index = {gpu: i for i, gpu in enumerate(gpu_ids)}
    return Setup(
        context=placement.context,
        slots=placement.slots,
        batch=placement.batch,
        gpu_layers=placement.gpu_layers,
        gpus=tuple(index[gpu] for gpu in placement.gpus),
        asked=asked,
    )


@dataclass(frozen=True, slots=True)
class _Rule:
    reason: str
    broken: Callable[[Shape, Setup], bool]
    upward: bool = False


RULES: tuple[_Rule, ...] = (
    _Rule(
        "more context than a slot has: the cache is allocated at launch",
        lambda shape, setup: shape.context is not None and shape.context > setup.context,
        upward=True,
    ),
    _Rule(
        "more slots than the runner has: the cache is divided at launch",
        lambda shape, setup: shape.slots is not None and shape.slots > setup.slots,
        upward=True,
    ),
    _Rule(
        "a larger batch than the compute buffers were made for",
        lambda shape, setup: shape.batch is not None and shape.batch > setup.batch,
        upward=True,
    ),
    _Rule(
        "another number of layers on GPUs: weights are placed at launch",
        # What it was launched for counts as well as what came of it: asking for 33 layers on a machine
        # without GPUs gives 0, and asking the same again must not load again.
        lambda shape, setup: (
            shape.gpu_layers is not None
            and shape.gpu_layers not in (setup.gpu_layers, setup.asked.gpu_layers)
        ),
    ),
    _Rule(
        "another GPU: weights are placed at launch",
        # A runner wholly on the CPU has no GPU to be wrong about.
        lambda shape, setup: (
            shape.main_gpu is not None
            and setup.gpu_layers > 0
            and setup.gpus != (shape.main_gpu,)
            and setup.asked.main_gpu != shape.main_gpu
        ),
    ),
    _Rule(
        "another number of threads: the engine's pool is made at launch",
        lambda shape, setup: shape.threads is not None and shape.threads != setup.asked.threads,
    ),
    _Rule(
        "flash attention is chosen at launch",
        lambda shape, setup: (
            shape.flash_attention is not None and shape.flash_attention != setup.asked.flash_attention
        ),
    ),
    _Rule(
        "the cache's number type is chosen at launch",
        lambda shape, setup: shape.kv_type is not None and shape.kv_type != setup.asked.kv_type,
    ),
    _Rule(
        "draft tokens are chosen at launch",
        lambda shape, setup: (
            shape.draft_tokens is not None and shape.draft_tokens != setup.asked.draft_tokens
        ),
    ),
    _Rule(
        "context shift is chosen at launch",
        lambda shape, setup: (
            shape.context_shift is not None and shape.context_shift != setup.asked.context_shift
        ),
    ),
)


def mismatch(shape: Shape, setup: Setup) -> Mismatch | None:
    """None when the runner can serve the shape as it is."""
    broken = [rule for rule in RULES if rule.broken(shape, setup)]
    if not broken:
        return None
    return Mismatch(tuple(rule.reason for rule in broken), all(rule.upward for rule in broken))


def serves(setup: Setup, shape: Shape) -> bool:
    """Whether the runner can serve the shape; the quick form of `mismatch`."""
    if shape == setup.asked or shape == ANY:
        return True
    return not any(rule.broken(shape, setup) for rule in RULES)


ANY = Shape()


def merged(lead: Shape, others: Iterable[Shape]) -> Shape:
    """The lead's shape, raised so far that one load serves those others too that differ only in how much."""
    context, slots, batch = lead.context, lead.slots, lead.batch
    for other in others:
        if other is not lead and _alike(lead, other):
            context = _more(context, other.context)
            slots = _more(slots, other.slots)
            batch = _more(batch, other.batch)
    if (context, slots, batch) == (lead.context, lead.slots, lead.batch):
        return lead
    return Shape(
        context,
        slots,
        batch,
        lead.gpu_layers,
        lead.main_gpu,
        lead.threads,
        lead.flash_attention,
        lead.kv_type,
        lead.draft_tokens,
        lead.context_shift,
    )


def _alike(lead: Shape, other: Shape) -> bool:
    return all(
        getattr(other, name) is None or getattr(other, name) == getattr(lead, name)
        for name in (
            "gpu_layers",
            "main_gpu",
            "threads",
            "flash_attention",
            "kv_type",
            "draft_tokens",
            "context_shift",
        )
    )


def _more(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)


def step_up(context: int) -> int:
    """The next power of two: a conversation that grows reloads a few times, not with every message."""
    return 1 << max(0, context - 1).bit_length()
