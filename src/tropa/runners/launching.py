"""The one place where a decision of the scheduler becomes the start-up parameters of an engine. Pure but for the
count of cores."""

from __future__ import annotations

from collections.abc import Mapping

from tropa.devices import host
from tropa.devices.device import DeviceMemory
from tropa.devices.visible import showing
from tropa.engines.launch import Launch
from tropa.runners.demand import CHECKPOINTS, checkpoint_reserve, maps
from tropa.runners.loadable import Loadable
from tropa.runners.rundir import Berth
from tropa.scheduler.actions import Load
from tropa.settings import Settings

MIB = 1 << 20


def launch_of(
    load: Load, model: Loadable, berth: Berth, settings: Settings, devices: Mapping[str, DeviceMemory]
) -> Launch:
    """`devices` are the machine's by id: an engine is shown only the GPUs it was placed on."""
    placement, want = load.placement, load.want
    flash = settings.flash_attention if want.flash_attention is None else want.flash_attention
    split = tuple(float(share) for share in placement.tensor_split) if len(placement.gpus) > 1 else ()
    cache_type = want.kv_type or settings.kv_cache_type
    reserve = checkpoint_reserve(model.weights, cache_type)
    return Launch(
        model=model.weights,
        address=berth.address,
        alias=berth.alias,
        context=placement.context,
        slots=placement.slots,
        threads=want.num_thread or host.cores(),
        batch=placement.batch,
        gpu_layers=placement.gpu_layers,
        main_gpu=0 if len(placement.gpus) == 1 else None,
        tensor_split=split,
        cache_type=cache_type,
        flash_attention=flash,
        mmap=maps(model.weights) if want.use_mmap is None and not placement.gpus else want.use_mmap,
        embedding=model.demand.embedding,
        rerank=model.demand.rerank,
        cache_ram_mib=max(0, model.demand.prompt_cache - reserve) // MIB,
        checkpoints=CHECKPOINTS // placement.slots if reserve else 0,
        projector=model.projector,
        adapters=model.adapters,
        environment=tuple(
            showing([devices[gpu] for gpu in placement.gpus if gpu in devices], devices.values()).items()
        ),
    )
