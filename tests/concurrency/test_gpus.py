"""Where models go on machines with GPUs, and what their engines are then told."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.concurrency.conftest import Store
from tests.concurrency.simulated import Machine, cuda, machine
from tests.support.processes import patience
from tropa.cli.listing import processor
from tropa.devices.device import DeviceMemory
from tropa.library.bundled import packaged
from tropa.library.library import Library
from tropa.scheduler.demand import need
from tropa.service.models import Models
from tropa.settings import Settings

MIB = 1 << 20
CONTEXT, BATCH = 1024, 512
PLAIN = Settings(num_parallel=1, context_length=CONTEXT)

Open = Callable[..., AbstractAsyncContextManager[Machine]]


@dataclass(frozen=True)
class Sizes:
    """Bytes of a model on GPUs: what each GPU in use takes, and all pieces together."""

    fixed: int
    weights: int
    pieces: int

    @property
    def whole(self) -> int:
        return self.fixed + self.weights

    def part(self, share: float) -> int:
        """Room for so much of the model."""
        return self.fixed + int(self.weights * share)


@pytest.fixture
def sizes(store: Store) -> dict[str, Sizes]:
    models = Models(Library(store.models, packaged(), prune=False), PLAIN)
    found = {}
    for name in ("large", "llama", "other"):
        demand = models.loadable(models.find(name)).demand
        needed = need(demand, CONTEXT, 1, BATCH)
        found[name] = Sizes(needed.gpu_fixed, sum(needed.pieces), demand.pieces)
    return found


@pytest.fixture
def open_machine(store: Store, place: Path) -> Open:
    """A machine with these GPUs, and settings given as keywords."""

    @asynccontextmanager
    async def open_machine(
        gpus: Sequence[DeviceMemory],
        libraries: frozenset[str] = frozenset({"cuda"}),
        late: int = 0,
        **settings: Any,
    ) -> AsyncIterator[Machine]:
        told = replace(PLAIN, state=place, **settings)
        async with machine(gpus, store.models, place, told, libraries, late) as opened:
            yield opened

    return open_machine


def visible(opened: Machine) -> str:
    """What the last engine sees of NVIDIA's GPUs."""
    return dict(opened.last.environment)["CUDA_VISIBLE_DEVICES"]


async def shown(opened: Machine, model: str) -> str:
    """The processor column of `ps`."""
    entry = (await opened.client.running())[model]
    return processor(entry["size"], entry["size_vram"])


async def test_one_gpu_whole(open_machine: Open, sizes: dict[str, Sizes]) -> None:
    size = sizes["large"]
    async with open_machine(cuda(size.whole + MIB, size.whole + 2 * MIB)) as opened:
        await opened.client.load("large")
        assert (opened.last.gpu_layers, opened.last.main_gpu, opened.last.tensor_split) == (
            size.pieces,
            0,
            (),
        )
        assert visible(opened) == "GPU-1", "the one with the most room, and no other"
        assert await shown(opened, "large") == "100% GPU"
        memory = (await opened.client.running())["large"]["memory"]
        assert memory["cuda:1"] == size.whole, "the driver says nothing: what was promised stands"
        assert memory.get("cuda:0", 0) == 0
        assert memory["cpu"] > 0


async def test_two_gpus_share(open_machine: Open, sizes: dict[str, Sizes]) -> None:
    size = sizes["large"]
    async with open_machine(cuda(size.part(0.4), size.part(0.75))) as opened:
        await opened.client.load("large")
        assert (opened.last.gpu_layers, opened.last.main_gpu) == (size.pieces, None)
        assert sum(opened.last.tensor_split) == size.pieces
        assert visible(opened).split(",") == ["GPU-1", "GPU-0"], "in the order of the shares"
        assert opened.last.tensor_split[0] > opened.last.tensor_split[1]
        assert await shown(opened, "large") == "100% GPU"


async def test_a_part_on_the_gpu(open_machine: Open, sizes: dict[str, Sizes]) -> None:
    size = sizes["large"]
    async with open_machine(cuda(size.part(0.5))) as opened:
        await opened.client.load("large")
        assert opened.last.gpu_layers is not None
        assert 0 < opened.last.gpu_layers < size.pieces
        assert visible(opened) == "GPU-0"
        text = await shown(opened, "large")
        assert text.endswith("% CPU/GPU")
        assert 1 <= int(text.split("%")[0]) <= 99


async def test_a_gpu_with_room_for_nothing(open_machine: Open, sizes: dict[str, Sizes]) -> None:
    async with open_machine(cuda(sizes["large"].fixed // 2)) as opened:
        await opened.client.load("large")
        assert (opened.last.gpu_layers, opened.last.main_gpu, visible(opened)) == (0, None, "")
        assert await shown(opened, "large") == "100% CPU"


async def test_what_the_engine_cannot_use_is_not_there(open_machine: Open, sizes: dict[str, Sizes]) -> None:
    async with open_machine(cuda(2 * sizes["large"].whole), libraries=frozenset()) as opened:
        await opened.client.load("large")
        assert (opened.last.gpu_layers, opened.last.environment) == (0, ())
        assert [device.id for device in opened.herd.view().devices] == ["cpu"]


@pytest.mark.parametrize(("num_gpu", "layers"), [(0, 0), (1, 1), (3, 3), (9, 9), (999, 9), (-1, 9)])
async def test_num_gpu(open_machine: Open, sizes: dict[str, Sizes], num_gpu: int, layers: int) -> None:
    size = sizes["large"]
    assert size.pieces == 9
    async with open_machine(cuda(size.whole + MIB)) as opened:
        for _ in range(2):
            await opened.client.load("large", num_gpu=num_gpu)
        assert [launch.gpu_layers for launch in opened.log] == [layers], "asking again loads nothing"
        assert visible(opened) == ("GPU-0" if layers else "")


async def test_main_gpu(open_machine: Open, sizes: dict[str, Sizes]) -> None:
    size = sizes["large"]
    async with open_machine(cuda(2 * size.whole, size.whole + MIB)) as opened:
        await opened.client.load("large", main_gpu=1)
        assert (opened.last.gpu_layers, opened.last.main_gpu, visible(opened)) == (size.pieces, 0, "GPU-1")
        await opened.client.load("large", main_gpu=0)
        assert (opened.last.main_gpu, visible(opened)) == (0, "GPU-0")
        assert await opened.client.refused("/api/generate", model="large", options={"main_gpu": 2}) == (
            400,
            "main_gpu = 2 is not possible: this machine has GPUs 0 to 1",
        )
        assert len(opened.log) == 2


async def test_more_layers_than_the_gpus_hold(open_machine: Open, sizes: dict[str, Sizes]) -> None:
    async with open_machine(cuda(sizes["large"].part(0.5))) as opened:
        assert await opened.client.refused("/api/generate", model="large", options={"num_gpu": 9}) == (
            500,
            "memory layout cannot be allocated with num_gpu = 9",
        )
        assert opened.log == []


async def test_spread(open_machine: Open, sizes: dict[str, Sizes]) -> None:
    async with open_machine(
        cuda(2 * sizes["large"].whole, 2 * sizes["large"].whole), sched_spread=True
    ) as opened:
        await opened.client.load("large")
        assert len(opened.last.tensor_split) == 2
        assert set(visible(opened).split(",")) == {"GPU-0", "GPU-1"}


async def test_overhead_is_left_alone(open_machine: Open, sizes: dict[str, Sizes]) -> None:
    size = sizes["large"]
    async with open_machine(cuda(size.whole + MIB), gpu_overhead=2 * MIB) as opened:
        await opened.client.load("large")
        assert opened.last.gpu_layers is not None
        assert opened.last.gpu_layers < size.pieces
        (gpu,) = opened.herd.view().devices[1:]
        assert gpu.promised <= gpu.total - 2 * MIB


async def test_a_budget_for_one_gpu(open_machine: Open, sizes: dict[str, Sizes]) -> None:
    size = sizes["large"]
    limit = f"cuda:1={size.fixed // 2}"
    async with open_machine(cuda(size.whole + MIB, 3 * size.whole), memory_limit=limit) as opened:
        await opened.client.load("large")
        assert visible(opened) == "GPU-0"


async def test_three_models_for_each_gpu(open_machine: Open, sizes: dict[str, Sizes]) -> None:
    room = 4 * sizes["large"].whole
    for gpus, most in ((2, 6), (1, 3), (0, 3)):
        async with open_machine(cuda(*[room] * gpus)) as opened:
            assert opened.herd.view().max_loaded == most
    async with open_machine(cuda(room, room), max_loaded_models=2) as opened:
        assert opened.herd.view().max_loaded == 2


async def test_models_side_by_side_go_where_the_room_is(open_machine: Open, sizes: dict[str, Sizes]) -> None:
    both = sizes["large"].whole + sizes["llama"].part(0.5)
    async with open_machine(cuda(both, both)) as opened:
        await opened.client.load("large")
        first = visible(opened)
        await opened.client.load("llama")
        assert {first, visible(opened)} == {"GPU-0", "GPU-1"}
        assert await shown(opened, "llama") == await shown(opened, "large") == "100% GPU"


@pytest.mark.parametrize("late", [0, 3])
async def test_an_idle_model_makes_way_for_one_that_would_fit_alone(
    open_machine: Open, sizes: dict[str, Sizes], late: int
) -> None:
    """Rather than the CPU; also with a driver that shows late what is free again. And when it does, no second is
    lost: the limit for that is five."""
    async with open_machine(cuda(sizes["llama"].whole + sizes["llama"].fixed // 2), late=late) as opened:
        await opened.client.load("llama")
        begun = time.monotonic()
        await opened.client.load("other")
        assert time.monotonic() - begun < patience(4.0)
        assert (await opened.client.running()).keys() == {"other"}
        assert opened.last.gpu_layers == sizes["other"].pieces
        await opened.client.load("llama")
        assert opened.last.gpu_layers == sizes["llama"].pieces, "what was remembered of it is no less"


@pytest.mark.parametrize(
    ("totals", "context"), [((16,), 4096), ((24,), 32768), ((24, 24), 262144), ((), 4096), ((12, 12), 32768)]
)
async def test_the_context_grows_with_the_gpus(
    open_machine: Open, totals: tuple[int, ...], context: int
) -> None:
    gpus = cuda(*(total << 30 for total in totals))
    async with open_machine(gpus, context_length=None) as opened:
        assert opened.herd.scheduler.policy.default_context == context
