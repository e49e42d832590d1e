"""What a model needs, as pure data, and the arithmetic that turns it into bytes.

Whoever reads the GGUF builds a :class:`Demand`; the scheduler only adds up. The order of the engine's own
placement is kept: a model of n layers has n+1 *pieces*, the layers in order and then the output, and
`gpu_layers = k` puts the last k pieces on GPUs (so 1 means the output alone, n+1 everything). The token
embeddings always stay on the CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer block.

    `kv` is the bytes of KV cache for one token of context. With `window` > 0 the layer keeps only that many
    tokens per slot, plus one batch; 0 means the full context. `state` is a fixed number of bytes per slot
    (recurrent layers).
    """

    weights: int
    kv: int = 0
    window: int = 0
    state: int = 0


@dataclass(frozen=True, slots=True)
class Compute:
    """The working buffers on one device: fixed + per token of the whole context + per slot + per batch token.

    `per_batch_context` is for the attention mask (and without flash attention for the scores): it grows with the
    batch times the context of *one* slot, since a slot attends only to itself.
    """

    fixed: int = 0
    per_context: float = 0.0
    per_slot: float = 0.0
    per_batch: float = 0.0
    per_batch_context: float = 0.0

    def bytes(self, context: int, slots: int, batch: int) -> int:
        """`context` is per slot, here as everywhere."""
        whole = context * slots
        return self.fixed + int(
            self.per_context * whole
            + self.per_slot * slots
            + self.per_batch * batch
            + self.per_batch_context * batch * context
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load of this model really took, remembered from before: this shape needs no prediction.

    The prompt cache is not in it: that fills later, and is promised on top. `gpus` lists the bytes per
    GPU in the order in which the layers were dealt to them.
    """

    context: int
    slots: int
    batch: int
    gpu_layers: int
    host: int
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Demand:
    """All the scheduler needs to know of a model to place it. Frozen and hashable; build once and pass again.

    `key` is the identity of what would be loaded: weights, adapters and projectors. Two names with the same
    key share a runner. Pass the *same object* for the same model as long as nothing changed: costs are
    cached by identity.
    """

    key: str
    layers: tuple[Layer, ...]
    output: int = 0
    """Bytes of the output piece (norm and head) when it is on a GPU."""
    output_tied: bool = False
    """The head reuses the token embeddings: on the CPU it then costs nothing of its own."""
    embeddings: int = 0
    """Token embeddings: always on the CPU."""
    projector: int = 0
    """Vision or audio projector with its buffers: on the first GPU when all pieces are on GPUs, else CPU."""
    gpu_compute: Compute = Compute()
    """Working buffers on each GPU in use."""
    cpu_compute: Compute = Compute()
    """Working buffers on the CPU when at least one piece is there."""
    host_compute: Compute = Compute()
    """Working buffers on the CPU when every piece is on a GPU."""
    overhead: int = 0
    """The process itself, on the CPU."""
    gpu_overhead: int = 0
    """What the driver takes on each GPU in use (context, libraries)."""
    prompt_cache: int = 0
    """What the engine's prompt cache may grow to on the CPU after the load: promised, not seen at load."""
    trained_context: int = 0
    """Asking for more is capped to this; 0 means unknown."""
    minimum_context: int = 4
    """Asking for less is raised to this (2048 for vision models)."""
    context_granule: int = 1
    """The engine rounds a slot's cache up to a multiple of this (256); it counts only for the bytes."""
    embedding: bool = False
    """An embedding or rerank model: each input must fit one batch, so the batch follows the context."""
    rerank: bool = False
    """It scores documents for a query and makes no vectors."""
    parallel: int = 0
    """Slots that this model is given when nobody asked for a number, whatever the setting for chats; 0: the setting."""
    max_slots: int = 0
    """The most slots the architecture allows (1 for some); 0 means no limit."""
    measured: tuple[Measured, ...] = ()
    """Loads remembered from before: exact shapes win over the prediction."""

    @property
    def pieces(self) -> int:
        """The most that `gpu_layers` can be."""
        return len(self.layers) + 1

    def __deepcopy__(self, memo: dict[int, Any]) -> Demand:
        return self  # frozen all the way down; `plan` copies the scheduler


@dataclass(frozen=True, slots=True)
class Need:
    """The bytes of one (context, slots, batch): where each piece goes is still open.

    `pieces[i]` counts weights, cache and state of piece i on a GPU; `above[k]` is the sum of the last k of
    them, `below[i]` the sum on the CPU of the first i, so both sides of any cut are one lookup.
    """

    pieces: tuple[int, ...]
    below: tuple[int, ...]
    above: tuple[int, ...]
    gpu_fixed: int
    host_split: int
    host_full: int
    projector: int

    def top(self, gpu_layers: int) -> int:
        """Bytes of the last `gpu_layers` pieces on GPUs."""
        return self.above[gpu_layers]

    def host(self, gpu_layers: int, projector_on_gpu: bool) -> int:
        """Bytes on the CPU when the last `gpu_layers` pieces are on GPUs."""
        n = len(self.pieces)
        rest = self.host_full if gpu_layers >= n else self.host_split + self.below[n - gpu_layers]
        return rest + (0 if projector_on_gpu else self.projector)


def need(demand: Demand, context: int, slots: int, batch: int) -> Need:
    """The prediction. `context` is per slot; it is multiplied by the slots here and in no other place."""
    granule = max(1, demand.context_granule)
    kept = -(-context // granule) * granule
    pieces = [
        layer.weights
        + layer.kv
        * slots
        * (min(kept, -(-(layer.window + batch) // granule) * granule) if layer.window else kept)
        + layer.state * slots
        for layer in demand.layers
    ]
    below = [0]
    for piece in pieces:
        below.append(below[-1] + piece)
    below.append(below[-1] + (0 if demand.output_tied else demand.output))
    pieces.append(demand.output)
    fixed = demand.embeddings + demand.overhead + demand.prompt_cache
    return Need(
        pieces=tuple(pieces),
        below=tuple(below),
        above=tuple(accumulate(reversed(pieces), initial=0)),
        gpu_fixed=demand.gpu_overhead + demand.gpu_compute.bytes(kept, slots, batch),
        host_split=fixed + demand.cpu_compute.bytes(kept, slots, batch),
        host_full=fixed + demand.host_compute.bytes(kept, slots, batch),
        projector=demand.projector,
    )


@dataclass(frozen=True, slots=True)
class Want:
    """What one request asks of the runner. None means "no wish": it matches whatever is loaded.

    Only what matters at load time is here; sampling options never reach the scheduler.
    """

    context: int | None = None
    """Per slot."""
    slots: int | None = None
    num_gpu: int | None = None
    """Layers on GPUs: None or negative automatic, 0 CPU only; more than the model has means all."""
    main_gpu: int | None = None
    """Index among the GPUs: use that one alone."""
    num_batch: int | None = None
    num_thread: int | None = None
    use_mmap: bool | None = None
    flash_attention: bool | None = None
    kv_type: str | None = None
    draft_tokens: int | None = None
    context_shift: bool | None = None
    keep_alive: float | None = None
    """Seconds to stay after the last request; inf for ever (any negative value means the same); None leaves
    what holds."""


NO_WISH = Want()
