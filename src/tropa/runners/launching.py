"""The one place where a decision of the scheduler becomes the start-up parameters of an engine. Pure but for the
count of cores."""

from __future__ import annotations

from collections.abc import Mapping

from tropa.devices import host
from tropa.devices.device import DeviceMemory
from tropa.devices.visible import VARIABLES
from tropa.engines.launch import Launch
from tropa.runners.demand import maps
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
        cache_type=want.kv_type or settings.kv_cache_type,
        flash_attention=flash,
        mmap=maps(model.weights) if want.use_mmap is None and not placement.gpus else want.use_mmap,
        embedding=model.demand.embedding,
        cache_ram_mib=model.demand.prompt_cache // MIB,
        projector=model.projector,
        adapters=model.adapters,
        environment=_visible([devices[gpu] for gpu in placement.gpus if gpu in devices]),
    )


def _visible(gpus: list[DeviceMemory]) -> tuple[tuple[str, str], ...]:
    """The variable that hides all other GPUs. By their own names, which no other variable can shift."""
    if not gpus or not all(gpu.handle for gpu in gpus):
        return ()
    names = VARIABLES.get(gpus[0].library, ())
    return ((names[0], ",".join(gpu.handle for gpu in gpus)),) if names else ()
