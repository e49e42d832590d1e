"""How much memory a model will take, from its header alone, before anything is loaded.

The formulas are those of the engine (llama.cpp b11549): cells and cache types as its KV cache allocates them, buffers
as its graph allocator was seen to lay them out. `benchmarks/memory_prediction.py` compares them with real processes;
docs/gguf.md says how they were found. Context is per slot here, as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from tropa.gguf.header import GGUF
from tropa.gguf.shape import LayerShape, ModelShape, shape
from tropa.gguf.tensor import TYPES, Tensor
from tropa.gguf.weights import Residence, residence

GRANULE = 256
"""The engine rounds the cells of a cache up to a multiple of this."""
CACHE_TYPES = ("f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")
_BY_NAME = {kind.name: kind for kind in TYPES.values()}

MIB = 1 << 20
PROCESS = 29 * MIB
"""An engine process with nothing in it: interpreter, libraries, threads."""
PER_LAYER = 80 << 10
"""The engine's own description of one more layer in its graphs."""
PER_TOKEN = 210
"""Its tables for one word of the vocabulary, and the same for one merge."""

# What a graph holds at its widest, in numbers (F32) per token of a batch: found by varying one hyperparameter at a
# time and reading the engine's log.
_GATED, _PLAIN = 3, 1
_BESIDE_FORWARD = 5
_BESIDE_ATTENTION = 6.0
_KEYS_AND_VALUES = 1.0
_ENCODER_ATTENTION = 6.5


@dataclass(frozen=True, slots=True)
class Load:
    """What a runner is told that decides its memory. `context` is per slot."""

    context: int
    slots: int = 1
    batch: int = 512
    cache_type: str = "f16"
    flash_attention: bool = True
    mmap: bool = True
    prompt_cache: int = 0
    """Bytes the engine's prompt cache may grow to."""
    checkpoints: int = 0
    """How many copies of its sliding windows and states the engine may keep per slot."""


@dataclass(frozen=True, slots=True)
class Compute:
    """The working memory of one device, linear in what a load may vary."""

    fixed: int
    per_slot: float
    per_batch: float
    per_batch_context: float
    """Times the batch times the context of **one** slot (or the batch again, if the model keeps no cache)."""

    def bytes(self, context: int, slots: int, batch: int) -> int:
        varying = self.per_slot * slots + self.per_batch * batch + self.per_batch_context * batch * context
        return self.fixed + int(varying)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The bytes of one process that runs the whole model on the CPU."""

    weights: Residence
    cache: int
    """KV cache and recurrent state of all slots."""
    compute: int
    """The buffers that the engine logs as compute buffers."""
    output: int
    """Logits and embeddings of one batch."""
    work: int
    """Inputs converted for the matrix kernels."""
    process: int
    """Interpreter, libraries, vocabulary."""
    growth: int
    """What may come after the load: prompt cache and checkpoints."""

    @property
    def loaded(self) -> int:
        """What is there once the model has loaded and worked through one full batch."""
        inside = self.weights.mapped + self.weights.own + self.cache + self.compute + self.output
        return inside + self.work + self.process

    @property
    def most(self) -> int:
        return self.loaded + self.growth


def predict(gguf: GGUF, load: Load) -> Prediction:
    """Raises BadMetadata for a file that is no model."""
    model = shape(gguf)
    context = padded(load.context)
    batch = min(load.batch, context * load.slots)
    working = compute(model, gated=is_gated(gguf), flash_attention=load.flash_attention)
    columns = context if model.cached else batch
    window = 2 * batch * window_cells(model, load.context, load.batch)
    return Prediction(
        weights=residence(gguf, mmap=load.mmap),
        cache=cache_bytes(model, load),
        compute=working.bytes(columns, load.slots, batch) + window,
        output=output_bytes(model, load.slots, batch),
        work=int(work_per_token(gguf) * batch),
        process=process_bytes(model),
        growth=load.prompt_cache + load.checkpoints * load.slots * checkpoint_bytes(model, load),
    )


def padded(context: int) -> int:
    """The cells that the engine keeps for one slot of that context."""
    return -(-context // GRANULE) * GRANULE


def cache_bytes(model: ModelShape, load: Load) -> int:
    return sum(layer_cache(layer, load) for layer in model.layers)


def layer_cache(layer: LayerShape, load: Load) -> int:
    """Of all slots: keys and values of one layer, and its recurrent state."""
    per_slot = cells(layer, load.context, load.batch) * cache_per_token(layer, load.cache_type)
    return load.slots * (per_slot + 4 * layer.state)


def cells(layer: LayerShape, context: int, batch: int) -> int:
    """How many tokens a layer keeps of one slot: a sliding one its window and a batch."""
    whole = padded(context)
    return min(whole, padded(layer.window + batch)) if layer.window else whole


def cache_per_token(layer: LayerShape, cache_type: str) -> int:
    """Bytes that one token adds to one layer."""
    return _row(layer.key_width, cache_type) + _row(layer.value_width, cache_type)


def _row(width: int, cache_type: str) -> int:
    kind = _BY_NAME[cache_type.upper()]
    return -(-width // kind.block) * kind.size


def checkpoint_bytes(model: ModelShape, load: Load) -> int:
    """One copy of what can't be rolled back in one slot: sliding windows and recurrent states."""
    size = 0
    for layer in model.layers:
        if layer.window:
            kept = min(load.context, layer.window)
            size += kept * cache_per_token(layer, load.cache_type)
        size += 4 * layer.state
    return size


def window_cells(model: ModelShape, context: int, batch: int) -> int:
    """Columns of the second attention mask, of models with sliding layers."""
    if not model.windowed:
        return 0
    return max(cells(layer, context, batch) for layer in model.layers if layer.window)


def compute(model: ModelShape, *, gated: bool, flash_attention: bool) -> Compute:
    """The engine's compute buffer, windows' mask excepted.

    Three phases of the graph compete to be the widest: feed-forward, attention, head.
    """
    width = model.embedding_length
    gates = _GATED if gated else _PLAIN
    feed = gates * max(layer.feed_forward for layer in model.layers)
    if used := model.experts_used:
        one = model.expert_feed_forward or feed // gates
        # Inside the experts, or when all of them have answered and nothing is summed up yet.
        feed = max(gates * used * one, used * (one + width))
    feed += _BESIDE_FORWARD * width
    keys = max(layer.key_width + layer.value_width for layer in model.layers)
    attention = _BESIDE_ATTENTION * width + _KEYS_AND_VALUES * keys
    if not model.cached:
        attention = _ENCODER_ATTENTION * width
    heads = max(layer.heads for layer in model.layers)
    return Compute(
        fixed=32 << 10,
        per_slot=4.0 * width,
        per_batch=4.0 * max(feed, attention) + 48,
        per_batch_context=2.0 if flash_attention else 4.0 * (heads + 1),
    )


def output_bytes(model: ModelShape, slots: int, batch: int) -> int:
    """Logits for every output of a batch. An embedding model outputs every token, and logits come along unused."""
    if not model.embedding:
        return 4 * slots * model.vocabulary
    return 4 * max(slots, batch) * (model.vocabulary + model.embedding_length)


def is_gated(gguf: GGUF) -> bool:
    """Whether feed-forward has a gate beside it, as a tensor of its own or fused with `ffn_up`."""
    sizes: dict[str, Tensor] = {tensor.name: tensor for tensor in gguf.tensors}
    if any("ffn_gate" in name for name in sizes):
        return True
    up, down = sizes.get("blk.0.ffn_up.weight"), sizes.get("blk.0.ffn_down.weight")
    if up is None or down is None or len(up.dims) < 2:
        return False
    return up.dims[1] >= 2 * down.dims[0]


def work_per_token(gguf: GGUF) -> float:
    """Bytes per token of the copy of its input that the widest matrix multiplication of a layer makes."""
    widest = 0.0
    for tensor in gguf.tensors:
        if len(tensor.dims) >= 2 and tensor.name.startswith("blk."):
            widest = max(widest, tensor.dims[0] * _converted(tensor.type.name))
    return widest


def _converted(kind: str) -> float:
    """Bytes per number of the type that inputs are converted to, for weights of `kind`."""
    if kind == "F32":
        return 0.0
    if kind in ("F16", "BF16"):
        return 2.0
    return 292 / 256 if kind.endswith("_K") or kind.startswith(("IQ", "TQ")) else 34 / 32


def process_bytes(model: ModelShape) -> int:
    tables = PER_TOKEN * (model.vocabulary + model.merges)
    return PROCESS + PER_LAYER * len(model.layers) + tables
