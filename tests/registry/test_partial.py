"""What an interrupted download leaves, and that nothing of it is believed that makes no sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.registry.conftest import Machine, Published
from tests.registry.faults import Faulty
from tropa.library.blobs import Blobs
from tropa.library.digest import Digest
from tropa.registry.partial import Partial, progress_of

Machines = Callable[..., Machine]
DIGEST = Digest.of(b"whatever")
TOTAL = 250_000
PART = 100_000


def opened(folder: Path, total: int = TOTAL) -> Partial:
    partial = Partial.open(Blobs(folder), DIGEST, total, PART, 1000)
    assert partial is not None
    return partial


def state(folder: Path, number: int) -> Path:
    return folder / f"{DIGEST.file_name}-partial-{number}"


def test_the_layout_is_the_references(tmp_path: Path) -> None:
    partial = opened(tmp_path)
    partial.write(partial.parts[1], b"x" * 1234)
    partial.save_all()
    partial.close()
    assert (tmp_path / f"{DIGEST.file_name}-partial").stat().st_size == TOTAL
    assert state(tmp_path, 1).read_bytes() == b'{"N":1,"Offset":100000,"Size":100000,"Completed":1234}\n'
    assert [json.loads(state(tmp_path, n).read_bytes())["Size"] for n in range(3)] == [
        100_000,
        100_000,
        50_000,
    ]


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    partial = opened(tmp_path)
    partial.write(partial.parts[0], b"x" * 5000)
    partial.close()
    again = opened(tmp_path)
    assert again.resumed == 5000
    assert again.prefix() == 5000
    assert progress_of(Blobs(tmp_path), DIGEST, TOTAL) == 5000
    again.close()


def test_states_of_the_reference_are_gone_on_with(tmp_path: Path) -> None:
    """Sixteen parts of its own sizes, the last one longer written than it was before."""
    (tmp_path / f"{DIGEST.file_name}-partial").write_bytes(bytes(TOTAL))
    for number, (start, size, done) in enumerate([(0, 150_000, 150_000), (150_000, 100_000, 7)]):
        text = json.dumps({"N": number, "Offset": start, "Size": size, "Completed": done}) + "\n"
        state(tmp_path, number).write_text(text)
    partial = opened(tmp_path)
    assert [part.done for part in partial.parts] == [150_000, 7]
    partial.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: state(folder, 1).unlink(),
        lambda folder: state(folder, 1).write_bytes(b""),
        lambda folder: state(folder, 1).write_bytes(b"{"),
        lambda folder: state(folder, 1).write_bytes(b"[1]"),
        lambda folder: state(folder, 1).write_bytes(
            b'{"N":1,"Offset":100000,"Size":100000,"Completed":100001}'
        ),
        lambda folder: state(folder, 1).write_bytes(b'{"N":1,"Offset":100000,"Size":100000,"Completed":-1}'),
        lambda folder: state(folder, 1).write_bytes(b'{"N":1,"Offset":99999,"Size":100001,"Completed":0}'),
        lambda folder: state(folder, 1).write_bytes(b'{"N":7,"Offset":100000,"Size":100000,"Completed":0}'),
        lambda folder: state(folder, 3).write_bytes(b'{"N":3,"Offset":250000,"Size":1,"Completed":0}'),
        lambda folder: (folder / f"{DIGEST.file_name}-partial").write_bytes(b"short"),
        lambda folder: (folder / f"{DIGEST.file_name}-partial").unlink(),
    ],
)
def test_what_makes_no_sense_begins_anew(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    partial = opened(tmp_path)
    partial.write(partial.parts[0], b"x" * 5000)
    partial.close()
    spoil(tmp_path)
    again = opened(tmp_path)
    assert again.done == 0
    assert [part.size for part in again.parts] == [100_000, 100_000, 50_000]
    again.close()


def test_another_size_begins_anew(tmp_path: Path) -> None:
    partial = opened(tmp_path)
    partial.write(partial.parts[0], b"x" * 5000)
    partial.close()
    again = opened(tmp_path, total=120_000)
    assert again.done == 0
    assert sorted(path.name[-1] for path in tmp_path.glob("*-partial-*")) == ["0", "1"]
    again.close()


def test_only_one_has_it_at_a_time(tmp_path: Path) -> None:
    partial = opened(tmp_path)
    assert Partial.open(Blobs(tmp_path), DIGEST, TOTAL, PART, 1000) is None
    partial.close()
    opened(tmp_path).close()


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    from tropa.library.errors import StoreUnusable

    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / f"{DIGEST.file_name}-partial").symlink_to(target)
    with pytest.raises(StoreUnusable):
        Partial.open(Blobs(tmp_path / "blobs"), DIGEST, TOTAL, PART, 1000)
    assert target.read_bytes() == b"precious"


def test_huge_blobs_have_no_more_than_256_parts(tmp_path: Path) -> None:
    partial = Partial.open(Blobs(tmp_path), DIGEST, 1 << 40, 64_000_000, 1000)
    assert partial is not None
    assert len(partial.parts) == 256
    assert partial.parts[-1].end == 1 << 40
    partial.close()


def test_bytes_that_changed_on_the_disk_are_fetched_again(
    machine: Machines, proxy: Faulty, published: Published
) -> None:
    """Its state says that the first part is here; somebody has written over it."""
    here = machine()
    blobs = here.library.store.blobs
    partial = Partial.open(blobs, published.digest, 300_001, 60_000, 1000)
    assert partial is not None
    partial.write(partial.parts[0], b"x" * 60_000)
    partial.save_all()
    partial.close()
    here.pull(f"{proxy.host}/team/large")
    assert here.whole(f"{proxy.host}/team/large")
    ranges = [ask.headers.get("Range") for ask in proxy.blobs() if str(published.digest) in ask.path]
    assert ranges.count("bytes=0-59999") == 1, "believed at first, and fetched when the digest was wrong"
    assert ranges.count("bytes=60000-119999") == 2
