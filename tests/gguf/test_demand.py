"""What the scheduler is told of a model adds up to what is predicted of its process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.gguf.raw import STRING, Raw, RawTensor, key
from tests.support import models
from tropa.gguf import InvalidGGUF, read
from tropa.gguf.errors import UnreadableFile
from tropa.gguf.memory import Load, predict
from tropa.runners.demand import demand_of, maps
from tropa.scheduler.demand import need

MAKERS = [models.llama, models.gemma2, models.chatglm, models.glm4, models.bert]
MIB = 1 << 20


def on_the_cpu(path: Path, context: int, slots: int, batch: int, **knobs: Any) -> int:
    demand = demand_of(path, **knobs)
    return need(demand, context, slots, batch).host(0, False) - demand.prompt_cache


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("kind", ["F16", "Q4_0"])
@pytest.mark.parametrize(("context", "batch"), [(512, 512), (4096, 512), (8192, 1024)])
def test_a_promise_for_one_slot_is_the_prediction(
    make: Any, kind: str, context: int, batch: int, tmp_path: Path
) -> None:
    path = make(tmp_path / "m.gguf", type=kind, layers=4)
    if make is models.bert:
        batch = context
    predicted = predict(read(path), Load(context, batch=batch, mmap=maps(path))).loaded
    assert on_the_cpu(path, context, 1, batch) == pytest.approx(predicted, rel=0.03)


@pytest.mark.parametrize("make", MAKERS)
def test_a_promise_for_more_slots_is_never_less_than_the_prediction(make: Any, tmp_path: Path) -> None:
    path = make(tmp_path / "m.gguf", layers=4)
    predicted = predict(read(path), Load(2048, slots=4)).loaded
    assert 0.97 * predicted < on_the_cpu(path, 2048, 4, 512) < 1.25 * predicted


def test_the_type_of_the_cache_counts(tmp_path: Path) -> None:
    path = models.llama(tmp_path / "m.gguf", width=512, heads=8, kv_heads=8)
    full = on_the_cpu(path, 8192, 1, 512)
    assert full - on_the_cpu(path, 8192, 1, 512, cache_type="q8_0") == 2 * 2 * 512 * 8192 * (2 - 34 / 32)


def test_without_flash_attention_more_is_promised(tmp_path: Path) -> None:
    path = models.llama(tmp_path / "m.gguf")
    assert on_the_cpu(path, 8192, 1, 512, flash_attention=False) > on_the_cpu(path, 8192, 1, 512)


def test_the_same_file_gives_the_same_object_until_it_changes(tmp_path: Path) -> None:
    path = models.llama(tmp_path / "m.gguf")
    first = demand_of(path)
    assert demand_of(path) is first
    assert demand_of(path, cache_type="q8_0") is not first
    models.llama(path, layers=3)
    assert len(demand_of(path).layers) == 3


def test_whatever_is_loaded_together_is_part_of_the_key(tmp_path: Path) -> None:
    path = models.llama(tmp_path / "m.gguf")
    projector = tmp_path / "p.gguf"
    data = RawTensor("v.patch_embd.weight", (32, 32), 0, 0)
    projector.write_bytes(
        Raw(keys=[key("general.architecture", STRING, "clip")], tensors=[data], data=bytes(4096)).encode()
    )
    plain, seeing = demand_of(path), demand_of(path, projectors=(projector,))
    assert plain.key == str(path)
    assert seeing.key == f"{path}|{projector}"
    assert plain.projector == 0
    assert seeing.projector >= 4096
    assert (plain.minimum_context, seeing.minimum_context) == (4, 2048)


def test_an_adapter_lies_with_the_layers_it_changes(tmp_path: Path) -> None:
    path = models.llama(tmp_path / "m.gguf", layers=2)
    adapter = tmp_path / "a.gguf"
    data = RawTensor("blk.1.attn_q.weight.lora_a", (32, 32), 0, 0)
    adapter.write_bytes(
        Raw(keys=[key("general.architecture", STRING, "llama")], tensors=[data], data=bytes(4096)).encode()
    )
    plain, adapted = demand_of(path), demand_of(path, adapters=(adapter,))
    grown = [b.weights - a.weights for a, b in zip(plain.layers, adapted.layers, strict=True)]
    assert grown == [0, 4096]


def test_a_tied_head_costs_on_a_gpu_only(tmp_path: Path) -> None:
    demand = demand_of(models.gemma2(tmp_path / "m.gguf"))
    assert demand.output_tied
    assert demand.output > demand.embeddings // 2
    whole = need(demand, 512, 1, 512)
    assert whole.host(0, False) == whole.host_split + sum(whole.pieces) - demand.output


@pytest.mark.parametrize("make", [models.llama, models.chatglm])
def test_a_prompt_cache_is_promised_in_whole_mib(make: Any, tmp_path: Path) -> None:
    cache = demand_of(make(tmp_path / "m.gguf")).prompt_cache
    assert cache > 0
    assert cache % MIB == 0


def test_an_embedding_model_needs_no_prompt_cache_and_one_batch_per_input(tmp_path: Path) -> None:
    demand = demand_of(models.bert(tmp_path / "m.gguf"))
    assert demand.embedding
    assert demand.prompt_cache == 0
    assert all(layer.kv == 0 for layer in demand.layers)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"missing\.gguf"):
        demand_of(tmp_path / "missing.gguf")
    with pytest.raises(UnreadableFile, match=r"missing\.gguf"):
        maps(tmp_path / "missing.gguf")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")
    with pytest.raises(InvalidGGUF, match=r"broken\.gguf"):
        demand_of(broken)
