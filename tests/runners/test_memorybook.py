from __future__ import annotations

import json
from pathlib import Path

import pytest

from tropa.runners.memorybook import MOST_MODELS, MOST_SHAPES, MemoryBook
from tropa.scheduler.actions import Fit, Placement
from tropa.scheduler.demand import Demand, Layer
from tropa.scheduler.machine import CPU

DEMAND = Demand(key="/blobs/a", layers=(Layer(100),))


def placed(context: int = 4096, slots: int = 4, *gpus: str) -> Placement:
    return Placement(
        context=context,
        slots=slots,
        batch=512,
        fit=Fit.GPU if gpus else Fit.CPU,
        gpu_layers=len(gpus),
        gpus=gpus,
        tensor_split=(),
        projector_on_gpu=False,
        promised={},
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "memory.json"


def test_what_a_load_took_is_known_at_the_next_start(path: Path) -> None:
    MemoryBook(path).remember(DEMAND, placed(4096, 4, "cuda:1", "cuda:0"), {CPU: 7, "cuda:0": 5, "cuda:1": 9})
    (found,) = MemoryBook(path).recall(DEMAND).measured
    assert (found.context, found.slots, found.batch, found.gpu_layers) == (4096, 4, 512, 2)
    assert (found.host, found.gpus) == (7, (9, 5))


def test_the_same_object_again_until_more_is_known(path: Path) -> None:
    """The scheduler caches costs by identity."""
    book = MemoryBook(path)
    assert book.recall(DEMAND) is DEMAND
    book.remember(DEMAND, placed(), {CPU: 7})
    first = book.recall(DEMAND)
    assert first is book.recall(DEMAND)
    book.remember(DEMAND, placed(), {CPU: 7})
    assert book.recall(DEMAND) is first
    book.remember(DEMAND, placed(), {CPU: 8})
    assert book.recall(DEMAND) is not first


def test_a_shape_has_one_entry_the_newest(path: Path) -> None:
    book = MemoryBook(path)
    for taken in (7, 9, 8):
        book.remember(DEMAND, placed(), {CPU: taken})
    assert [entry.host for entry in book.recall(DEMAND).measured] == [8]
    book.remember(DEMAND, placed(2048), {CPU: 3})
    assert [entry.host for entry in book.recall(DEMAND).measured] == [8, 3]


def test_another_model_another_engine_another_file_know_nothing_of_it(path: Path) -> None:
    MemoryBook(path, lambda: "one").remember(DEMAND, placed(), {CPU: 7})
    assert not MemoryBook(path, lambda: "two").recall(DEMAND).measured
    assert not MemoryBook(path, lambda: "one").recall(Demand(key="/blobs/b", layers=(Layer(100),))).measured
    assert not MemoryBook(path, lambda: "one").recall(Demand(key="/blobs/a", layers=(Layer(101),))).measured
    assert MemoryBook(path, lambda: "one").recall(DEMAND).measured


def test_it_does_not_grow_without_end(path: Path) -> None:
    book = MemoryBook(path)
    for context in range(1, MOST_SHAPES + 10):
        book.remember(DEMAND, placed(context), {CPU: context})
    assert len(book.recall(DEMAND).measured) == MOST_SHAPES
    assert book.recall(DEMAND).measured[-1].context == MOST_SHAPES + 9
    for number in range(MOST_MODELS + 5):
        book.remember(Demand(key=str(number), layers=(Layer(1),)), placed(), {CPU: 1})
    assert len(json.loads(path.read_text())) == MOST_MODELS
    assert not book.recall(Demand(key="0", layers=(Layer(1),))).measured


SOUND = {"context": 1, "slots": 1, "batch": 1, "gpu_layers": 0, "host": 5, "gpus": []}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "5",
        '{"/blobs/a|100|": 5}',
        '{"/blobs/a|100|": [5, null, "x"]}',
        *(
            json.dumps({"/blobs/a|100|": [SOUND | {name: value}]})
            for name, value in [
                ("host", -1),
                ("host", "5"),
                ("host", None),
                ("host", 1.5),
                ("slots", True),
                ("gpus", 5),
                ("gpus", None),
                ("gpus", {"a": 1}),
                ("gpus", ["x"]),
                ("gpus", [-1]),
                ("more", 1),
            ]
        ),
    ],
)
def test_what_makes_no_sense_is_passed_over(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    book = MemoryBook(path)
    assert not book.recall(DEMAND).measured
    book.remember(DEMAND, placed(), {CPU: 7})
    assert MemoryBook(path).recall(DEMAND).measured


def test_bytes_that_are_no_text_are_passed_over(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe")
    assert not MemoryBook(path).recall(DEMAND).measured


def test_a_place_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the way")
    book = MemoryBook(tmp_path / "state" / "memory.json")
    book.remember(DEMAND, placed(), {CPU: 7})
    assert book.recall(DEMAND).measured
