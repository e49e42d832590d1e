"""From the header of a GGUF file to what the scheduler needs to know of the model.

The arithmetic of a single process is in `tropa.gguf.memory`; here its parts are dealt to the pieces that the
scheduler places: layers, output, what stays on the CPU. The same file gives the same object, as long as it is the
same file: the scheduler caches by identity.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from tropa.gguf import GGUF
from tropa.gguf import memory as sizes
from tropa.gguf.errors import UnreadableFile
from tropa.gguf.projector import projector_bytes
from tropa.gguf.recent import recent
from tropa.gguf.shape import LayerShape, ModelShape, shape
from tropa.gguf.weights import layer_of, prefers_copy, residence, weights
from tropa.scheduler.demand import Compute, Demand, Layer

MIB = 1 << 20
GPU_CONTEXT = 450 * MIB
"""What a GPU's driver and math libraries take for a process, before any model. Not measured here: no GPU was at
hand; the reference reserves 457 MiB."""
CACHED_TOKENS = 8192
MOST_PROMPT_CACHE = 1024 * MIB
CHECKPOINTS = 16
"""Over all slots: copies of what can't be rolled back (sliding windows, recurrent states), without which each turn of
a chat evaluates the whole conversation again. The engine's default, 32 for each slot, is more than many of these
models weigh, and nobody would count it."""
VISION_CONTEXT = 2048
LEAST_CONTEXT = 4
TEXTS_AT_ONCE = 16
"""Slots of an embedding model without a KV cache: they cost next to nothing there, and short texts share a batch."""
PLANNED_BATCH = 512
PLANNED_CONTEXT = 4096


def demand_of(
    path: Path,
    projectors: tuple[Path, ...] = (),
    adapters: tuple[Path, ...] = (),
    cache_type: str = "f16",
    flash_attention: bool = True,
) -> Demand:
    """Raises the GGUF errors for whichever of the files is broken, or is no model."""
    files = (path, *projectors, *adapters)
    stamps = tuple(_stamp(file) for file in files)
    return _demand(path, projectors, adapters, cache_type, flash_attention, stamps)


def maps(path: Path) -> bool:
    """Whether this file should be mapped when it runs on the CPU.

    An engine that rearranges most of the weights needs the file only while loading: mapped, it would hold it twice.
    """
    return _maps(path, _stamp(path))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as exc:
        raise UnreadableFile(path, f"can't be read: {exc.strerror or exc}") from exc
    return status.st_size, status.st_mtime_ns


@lru_cache(maxsize=1024)
def _maps(path: Path, stamp: tuple[int, int]) -> bool:
    return not prefers_copy(recent.read(path))


@lru_cache(maxsize=1024)
def _demand(
    path: Path,
    projectors: tuple[Path, ...],
    adapters: tuple[Path, ...],
    cache_type: str,
    flash_attention: bool,
    stamps: tuple[tuple[int, int], ...],
) -> Demand:
    gguf = recent.read(path)
    model = shape(gguf)
    parts = weights(gguf, len(model.layers))
    layers = list(parts.layers)
    for adapter in adapters:
        _add_adapter(layers, recent.read(adapter))
    beside = sum(projector_bytes(recent.read(file)) for file in projectors) + parts.projector
    cpu, gpu, host = _computes(gguf, model, flash_attention)
    rearranged_head = residence(gguf, mmap=False).own + parts.projector - parts.total
    return Demand(
        key="|".join(str(file) for file in (path, *adapters, *projectors)),
        layers=tuple(
            _layer(layer, size, cache_type) for layer, size in zip(model.layers, layers, strict=True)
        ),
        output=parts.output + parts.tied_head,
        output_tied=bool(parts.tied_head),
        embeddings=parts.input + (parts.output if parts.tied_head else 0) + max(0, rearranged_head),
        projector=beside,
        gpu_compute=gpu,
        cpu_compute=cpu,
        host_compute=host,
        overhead=sizes.process_bytes(model),
        gpu_overhead=GPU_CONTEXT,
        prompt_cache=prompt_cache(model, cache_type),
        trained_context=model.trained_context,
        minimum_context=VISION_CONTEXT if beside else LEAST_CONTEXT,
        context_granule=sizes.GRANULE,
        embedding=model.embedding,
        rerank=model.rerank,
        parallel=TEXTS_AT_ONCE if model.embedding and not model.cached else 0,
        max_slots=model.most_slots,
    )


def _layer(layer: LayerShape, size: int, cache_type: str) -> Layer:
    kv = sizes.cache_per_token(layer, cache_type)
    return Layer(weights=size, kv=kv, window=layer.window if kv else 0, state=4 * layer.state)


def _computes(gguf: GGUF, model: ModelShape, flash_attention: bool) -> tuple[Compute, Compute, Compute]:
    """The working buffers of the CPU, of a GPU, and of the CPU when all pieces are on GPUs."""
    graph = sizes.compute(model, gated=sizes.is_gated(gguf), flash_attention=flash_attention)
    masks = 2 * sizes.window_cells(model, model.trained_context or VISION_CONTEXT, PLANNED_BATCH)
    out_slot, out_batch = _output(model)
    work = sizes.work_per_token(gguf)
    per_context = graph.per_batch_context

    def buffers(per_slot: float, per_batch: float, per_batch_context: float) -> Compute:
        return Compute(
            fixed=graph.fixed,
            per_slot=per_slot,
            per_batch=per_batch + masks,
            per_batch_context=per_batch_context,
        )

    cpu = buffers(graph.per_slot + out_slot, graph.per_batch + out_batch + work, per_context)
    gpu = buffers(graph.per_slot, graph.per_batch, per_context)
    # The inputs of the graph: embeddings of a batch and the masks.
    host = buffers(out_slot, 4.0 * model.embedding_length + out_batch, 2.0)
    return cpu, gpu, host


def _output(model: ModelShape) -> tuple[float, float]:
    """Bytes per slot and per token of a batch of the buffer for logits and embeddings."""
    if model.embedding:
        return 0.0, 4.0 * (model.vocabulary + model.embedding_length)
    return 4.0 * model.vocabulary, 0.0


@lru_cache(maxsize=1024)
def _reserve(path: Path, cache_type: str, stamp: tuple[int, int]) -> int:
    return _checkpoints(shape(recent.read(path)), cache_type)


def checkpoint_reserve(path: Path, cache_type: str) -> int:
    """Bytes of `Demand.prompt_cache` that are kept for checkpoints, and not for the engine's own prompt cache."""
    return _reserve(path, cache_type, _stamp(path))


def _checkpoints(model: ModelShape, cache_type: str) -> int:
    longest = model.trained_context or PLANNED_CONTEXT
    load = sizes.Load(context=longest, slots=1, batch=PLANNED_BATCH, cache_type=cache_type)
    return CHECKPOINTS * sizes.checkpoint_bytes(model, load)


def prompt_cache(model: ModelShape, cache_type: str) -> int:
    """What the engine may keep of conversations beyond their slots: some thousand tokens and the checkpoints."""
    if model.embedding or not model.cached:
        return 0
    per_token = sum(sizes.cache_per_token(layer, cache_type) for layer in model.layers)
    fixed = sum(4 * layer.state for layer in model.layers)
    wanted = min(CACHED_TOKENS * per_token + 4 * fixed, MOST_PROMPT_CACHE)
    return -(-wanted // MIB) * MIB + _checkpoints(model, cache_type)


def _add_adapter(layers: list[int], adapter: GGUF) -> None:
    for tensor in adapter.tensors:
        layers[min(layer_of(tensor.name) or 0, len(layers) - 1)] += tensor.nbytes
