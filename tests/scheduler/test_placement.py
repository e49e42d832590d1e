"""Where a model goes."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scheduler.desk import CALM, Desk, model
from tropa.scheduler.actions import Fit, Placement
from tropa.scheduler.demand import Compute, Demand, Layer, Measured, Want, need
from tropa.scheduler.machine import CPU, Device, Kind


def placed(desk: Desk, demand: Demand, want: Want | None = None) -> Placement:
    desk.ask(1, demand, want=want)
    return desk.loads[demand.key].placement


def test_one_gpu_whole_the_one_with_most_room() -> None:
    placement = placed(Desk(memory=100, gpus=(10, 20, 15)), model("m", 8, layers=4))
    assert placement.fit is Fit.GPU
    assert placement.gpus == ("cuda:1",)
    assert placement.gpu_layers == 5
    assert placement.promised == {"cpu": 0, "cuda:1": 8}


def test_a_discrete_gpu_before_an_integrated_one() -> None:
    desk = Desk(memory=100, gpus=(10, 50))
    desk.devices = (*desk.devices[:2], replace(desk.devices[2], integrated=True, library="vulkan"))
    desk.measure((100, 10, 50))
    assert placed(desk, model("m", 8)).gpus == ("cuda:0",)


def test_else_split_over_the_fewest_gpus() -> None:
    placement = placed(Desk(memory=100, gpus=(10, 10, 10)), model("m", 16, layers=8))
    assert placement.fit is Fit.GPU
    assert len(placement.gpus) == 2
    assert sum(placement.tensor_split) == placement.gpu_layers == 9
    assert sorted(v for k, v in placement.promised.items() if k != "cpu") == [8, 8]


def test_gpus_of_different_libraries_do_not_share_a_model() -> None:
    desk = Desk(memory=100, gpus=(10, 10))
    desk.devices = (*desk.devices[:2], replace(desk.devices[2], library="rocm"))
    desk.measure((100, 10, 10))
    assert placed(desk, model("m", 16, layers=8)).fit is Fit.PARTIAL


def test_else_partly_the_last_layers_first() -> None:
    placement = placed(Desk(memory=100, gpus=(10,)), model("m", 16, layers=8, output=1))
    assert placement.fit is Fit.PARTIAL
    assert placement.gpu_layers == 5  # the output and four layers
    assert placement.promised == {"cpu": 8, "cuda:0": 9}


def test_else_the_cpu() -> None:
    placement = placed(Desk(memory=100, gpus=(1,)), model("m", 16, layers=8, output=2))
    assert placement.fit is Fit.CPU
    assert placement.promised == {"cpu": 18}


def test_num_gpu_is_obeyed() -> None:
    assert placed(Desk(memory=100, gpus=(100,)), model("m", 16, layers=8), Want(num_gpu=0)).fit is Fit.CPU
    placement = placed(Desk(memory=100, gpus=(100,)), model("m", 16, layers=8), Want(num_gpu=4))
    assert (placement.gpu_layers, placement.promised) == (4, {"cpu": 10, "cuda:0": 6})
    assert placed(Desk(memory=100, gpus=(100,)), model("m", 16, layers=8), Want(num_gpu=99)).gpu_layers == 9
    assert placed(Desk(memory=100), model("m", 16, layers=8), Want(num_gpu=99)).gpu_layers == 0


def test_a_batch_has_room_for_one_token_of_each_slot() -> None:
    """An engine that is told less ends with a failed assertion: seen with num_batch 2 and 4 slots."""
    small = Want(num_batch=2, slots=4)
    assert placed(Desk(memory=100), model("m", 8), small).batch == 4
    assert (
        placed(Desk(memory=100), replace(model("m", 8), embedding=True), replace(small, context=3)).batch == 4
    )
    assert placed(Desk(memory=100), model("m", 8), Want(num_batch=64, slots=4)).batch == 64


def test_main_gpu_is_obeyed() -> None:
    desk = Desk(memory=100, gpus=(20, 10, 20))
    assert placed(desk, model("m", 8, layers=4), Want(main_gpu=1)).gpus == ("cuda:1",)


def test_spread_uses_every_gpu() -> None:
    desk = Desk(memory=100, gpus=(10, 10, 10), policy=replace(CALM, spread=True))
    placement = placed(desk, model("m", 6, layers=6))
    assert placement.gpus == ("cuda:0", "cuda:1", "cuda:2")
    assert placement.tensor_split == (2, 2, 3)


def test_gpu_overhead_is_left_alone() -> None:
    desk = Desk(memory=100, gpus=(10,), policy=replace(CALM, gpu_overhead=3))
    assert placed(desk, model("m", 8, layers=4)).fit is Fit.PARTIAL


def test_an_integrated_gpu_takes_the_cpus_memory() -> None:
    desk = Desk(memory=10)
    desk.devices = (Device(CPU, Kind.CPU, 10, 10), Device("metal", Kind.GPU, 8, 8, "metal", integrated=True))
    desk.measure((10, 8))
    assert placed(desk, model("m", 6)).promised == {"cpu": 0, "metal": 6}
    assert desk.ask(2, model("n", 5), want=Want(num_gpu=0)) == []  # only 4 are left of the one memory


def test_a_projector_goes_to_the_gpu_if_it_fits_beside_the_whole_model() -> None:
    placement = placed(Desk(memory=100, gpus=(10,)), model("m", 8, projector=2))
    assert (placement.projector_on_gpu, placement.promised) == (True, {"cpu": 0, "cuda:0": 10})
    placement = placed(Desk(memory=100, gpus=(10,)), model("m", 8, projector=3))
    assert (placement.projector_on_gpu, placement.promised) == (False, {"cpu": 3, "cuda:0": 8})


def test_a_loaded_small_model_leaves_the_gpu_to_a_big_one_rather_than_push_it_to_the_cpu() -> None:
    desk = Desk(memory=100, gpus=(10,))
    desk.load(1, "small", need=4)
    desk.done(1)
    assert desk.ask(2, model("big", 9, layers=9)) == ["unload small"]


def test_but_a_pinned_one_stays_and_the_other_makes_do() -> None:
    desk = Desk(memory=100, gpus=(10,))
    desk.load(1, "small", need=4, keep_alive=-1.0)
    desk.done(1)
    assert desk.ask(2, model("big", 9, layers=9)) == ["load big"]
    assert desk.loads["big"].placement.fit is Fit.PARTIAL


def test_what_was_measured_before_wins_over_the_prediction() -> None:
    remembered = Measured(context=1, slots=1, batch=512, gpu_layers=0, host=7)
    placement = placed(Desk(memory=10), model("m", 5, measured=(remembered,)))
    assert placement.promised == {"cpu": 7}


def test_a_sliding_window_keeps_only_the_window() -> None:
    demand = Demand("m", (Layer(0, kv=1), Layer(0, kv=1, window=100)))
    assert need(demand, 1000, 4, 50).pieces[:2] == (4000, 600)
    assert need(demand, 50, 4, 50).pieces[:2] == (200, 200)


def test_state_and_compute() -> None:
    demand = Demand("m", (Layer(10, state=3),), cpu_compute=Compute(1, 0.5, 2.0, 0.25, 0.125))
    assert need(demand, 8, 2, 4).host(0, projector_on_gpu=False) == 16 + 1 + 8 + 4 + 1 + 4


def test_a_tied_head_costs_nothing_on_the_cpu() -> None:
    demand = Demand("m", (Layer(10),), output=5, output_tied=True, embeddings=5)
    sizes = need(demand, 1, 1, 1)
    assert sizes.host(0, projector_on_gpu=False) == 15
    assert sizes.host(2, projector_on_gpu=False) == 5
    assert sizes.pieces == (10, 5)


@st.composite
def demands(draw: st.DrawFn) -> Demand:
    count = draw(st.integers(1, 6))
    return Demand(
        key="m",
        layers=tuple(Layer(draw(st.integers(0, 9)), draw(st.integers(0, 2))) for _ in range(count)),
        output=draw(st.integers(0, 5)),
        output_tied=draw(st.booleans()),
        embeddings=draw(st.integers(0, 5)),
        projector=draw(st.integers(0, 3)),
        gpu_compute=Compute(draw(st.integers(0, 3)), per_slot=1.0),
        minimum_context=1,
        overhead=draw(st.integers(0, 2)),
        prompt_cache=draw(st.integers(0, 2)),
        max_slots=draw(st.integers(0, 2)),
    )


@settings(max_examples=300, deadline=None)
@given(
    demands(),
    st.integers(0, 60),
    st.lists(st.integers(0, 40), max_size=4),
    st.booleans(),
    st.none() | st.integers(0, 8),
    st.none() | st.integers(1, 5),
)
def test_every_placement_adds_up(
    demand: Demand,
    memory: int,
    gpus: list[int],
    spread: bool,
    num_gpu: int | None,
    context: int | None,
) -> None:
    """Each piece is somewhere once, no more is promised than there is, and only what can't fit is refused."""
    policy = replace(CALM, spread=spread, num_parallel=None, default_context=4, fresh=math.inf)
    desk = Desk(memory=memory, gpus=tuple(gpus), policy=policy)
    said = desk.ask(1, demand, want=Want(num_gpu=num_gpu, context=context))
    sizes = need(demand, context or 1, 1, 512)
    if said != ["load m"]:
        assert said[0].startswith("refuse 1 too-big")
        if num_gpu is None or not gpus:
            assert sizes.host(0, projector_on_gpu=False) > memory
        return
    placement = desk.loads["m"].placement
    sizes = need(demand, placement.context, placement.slots, placement.batch)
    assert sum(placement.tensor_split) == placement.gpu_layers
    assert len(placement.tensor_split) == len(placement.gpus)
    assert all(placement.tensor_split)
    at = len(sizes.pieces) - placement.gpu_layers
    for i, (gpu, count) in enumerate(zip(placement.gpus, placement.tensor_split, strict=True)):
        extra = demand.projector if placement.projector_on_gpu and i == 0 else 0
        assert placement.promised[gpu] == sizes.gpu_fixed + sum(sizes.pieces[at : at + count]) + extra
        assert placement.promised[gpu] <= gpus[int(gpu.removeprefix("cuda:"))]
        at += count
    assert placement.promised["cpu"] == sizes.host(placement.gpu_layers, placement.projector_on_gpu) <= memory
    if num_gpu is not None and gpus:
        assert placement.gpu_layers == min(num_gpu, demand.pieces)
