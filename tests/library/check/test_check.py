"""`tropa check`: what is wrong is found and named, what can be mended is, and nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.library.check.reports import age, found, mended, weights
from tests.library.making import add, broken, files
from tests.support.places import without_privilege
from tropa.library.check import Check, Kind, Report
from tropa.library.digest import Digest
from tropa.library.errors import ModelNotFound, StoreUnusable
from tropa.library.library import Library
from tropa.library.name import Name
from tropa.library.prune import PARTIAL_KEPT
from tropa.library.repair import repair

SYSTEM = Digest.of(b"be brief")


def test_a_sound_store_is_clean_and_looking_changes_nothing(full: Library) -> None:
    before = files(full.store.root)
    report = Check(full).run()
    assert (report.findings, report.models, report.blobs) == ((), 2, 5)
    assert report.size == sum(path.stat().st_size for path in full.store.blobs.folder.iterdir())
    assert mended(full).findings == ()
    assert files(full.store.root) == before


def test_a_store_that_is_not_there_is_clean_and_is_not_made(furnished: Library) -> None:
    assert mended(furnished) == Report()
    assert not furnished.store.root.exists()


def test_progress_ends_at_the_bytes_that_were_read(full: Library) -> None:
    told: list[tuple[int, int]] = []
    report = Check(full).run(lambda done, total: told.append((done, total)))
    assert told[0] == (0, report.size)
    assert told[-1] == (report.size, report.size)


def test_a_second_run_reads_only_what_changed(full: Library) -> None:
    check = Check(full)
    check.run()
    told: list[tuple[int, int]] = []
    full.store.blobs.put_bytes(b"new")
    check.run(lambda done, total: told.append((done, total)))
    assert told == [(0, 3), (3, 3)]


def test_a_damaged_blob_is_put_aside_and_can_be_had_again(full: Library) -> None:
    path = weights(full, "one")
    good = path.read_bytes()
    bad = good[:-1] + b"\1"
    path.write_bytes(bad)
    check = Check(full)
    assert found(check.run()) == [(Kind.DAMAGED, ("one:latest",))]
    (line,), _ = repair(check)
    assert str(Digest.parse(path.name)) in line
    report = check.run()
    assert found(report) == [(Kind.MISSING, ("one:latest",)), (Kind.ASIDE, ())]
    assert (full.store.home / "damaged" / path.name).read_bytes() == bad
    full.store.blobs.put_bytes(good)  # what a pull does, or a create
    assert Check(full).run().problems == ()
    full.find("one")


def test_a_blob_damaged_twice_is_put_aside_twice(full: Library) -> None:
    path = weights(full, "one")
    for bad in (b"first", b"second"):
        path.write_bytes(bad)
        mended(full)
    kept = sorted((full.store.home / "damaged").iterdir())
    assert [each.read_bytes() for each in kept] == [b"first", b"second"]


def test_a_shared_blob_that_is_missing_names_every_model(full: Library) -> None:
    full.store.blobs.path(SYSTEM).unlink()
    report = mended(full)
    assert found(report) == [(Kind.MISSING, ("Two:x", "one:latest"))]
    assert report.problems[0].digest == SYSTEM


def test_a_folder_and_a_dangling_link_in_the_place_of_blobs(full: Library) -> None:
    one, two = weights(full, "one"), weights(full, "two:x")
    one.unlink()
    one.mkdir()
    two.unlink()
    two.symlink_to("/nowhere/at/all")
    report = Check(full).run()
    assert found(report) == [(Kind.MISSING, ("Two:x",)), (Kind.DAMAGED, ("one:latest",))]
    assert "leads nowhere" in report.findings[0].why
    mended(full)
    assert not one.exists()


def test_a_named_pipe_does_not_hold_a_check_up(full: Library) -> None:
    one = weights(full, "one")
    one.unlink()
    os.mkfifo(one)
    os.mkfifo(one.with_name("pipe"))
    assert {kind for kind, _ in found(Check(full).run())} == {Kind.DAMAGED, Kind.STRAY}


def test_old_names_become_new_ones(full: Library) -> None:
    one, two = weights(full, "one"), weights(full, "two:x")
    one.rename(one.with_name(one.name.replace("-", ":")))
    two.rename(two.with_name("sha256-" + two.name[7:].upper()))
    report = found(Check(full).run())
    assert sorted(names for _, names in report) == [("Two:x",), ("one:latest",)]
    assert {kind for kind, _ in report} == {Kind.MISNAMED}
    assert mended(full).findings == ()
    assert one.is_file()
    assert two.is_file()


def test_a_second_copy_under_an_old_name_goes_only_if_the_first_is_sound(full: Library) -> None:
    one, two = weights(full, "one"), weights(full, "two:x")
    for path in (one, two):
        path.with_name(path.name.replace("-", ":")).write_bytes(path.read_bytes())
    two.write_bytes(b"damaged")
    assert found(mended(full)) == [(Kind.ASIDE, ())]
    assert broken(full.store) == []
    assert not list(full.store.blobs.folder.glob("sha256:*"))


def test_leftovers_go_by_the_rules_of_the_prune(full: Library) -> None:
    folder = full.store.blobs.folder
    add(full.store.blobs, "", b"orphan")
    (folder / ".tropa-left").write_bytes(b"x")
    (folder / f"{SYSTEM.file_name}-partial").write_bytes(b"half")
    age(full, PARTIAL_KEPT + 60)
    (folder / f"{SYSTEM.file_name}-partial-0").write_bytes(b"{}")
    (full.store.manifests / ".tropa-half").write_bytes(b"{")
    add(full.store.blobs, "", b"young")
    kinds = [kind for kind, _ in found(Check(full).run())]
    assert sorted(kinds, key=list(Kind).index) == kinds
    assert kinds == [
        Kind.ORPHANED, Kind.STALE, Kind.LEFTOVER, Kind.LEFTOVER, Kind.UNFINISHED, Kind.RECENT,
    ]  # fmt: skip
    assert [kind for kind, _ in found(mended(full))] == [Kind.UNFINISHED, Kind.RECENT]


def test_what_somebody_writes_or_relies_on_is_left_alone(full: Library) -> None:
    loose = full.store.blobs.put_bytes(b"loose").digest
    path = weights(full, "one")
    with full.store.blobs.writer() as writer, full.store.claim() as claim:
        claim.add(loose, Digest.parse(path.name))
        writer.write(b"slow")
        path.write_bytes(b"damaged")
        age(full)
        check = Check(full)
        report = check.run()
        assert {each.kind for each in report.notes} == {Kind.RECENT}
        (line,), _ = repair(check)
        assert "repair again" in line
        assert path.exists()
        assert full.store.blobs.has(loose)
        assert writer.commit().created
    check.run()
    repair(check)
    assert not path.exists()
    assert not full.store.blobs.has(loose)


def test_a_blob_that_was_mended_after_the_check_is_not_put_aside(full: Library) -> None:
    path = weights(full, "one")
    good = path.read_bytes()
    path.write_bytes(b"damaged")
    check = Check(full)
    assert check.run().problems
    path.unlink()
    full.store.blobs.put_bytes(good)  # a pull came in between
    assert repair(check)[0] == []
    assert check.run().problems == ()


def test_a_model_removed_while_its_blobs_are_hashed_is_no_problem(full: Library) -> None:
    gone: list[int] = []

    def remove(done: int, total: int) -> None:
        if not gone:
            gone.append(total)
            full.delete("one")

    report = Check(full).run(remove)
    assert gone
    assert (report.findings, report.models) == ((), 1)


def test_a_store_that_never_rests_ends_the_check_and_what_was_not_read_is_said(full: Library) -> None:
    last: list[Digest] = []

    def busy(done: int, total: int) -> None:
        if done == total:
            last[:] = [full.store.blobs.put_bytes(f"{len(last)}{total}".encode()).digest]

    report = Check(full).run(busy)
    assert report.problems == ()
    (unread,) = [each for each in report.notes if "not read" in each.why]
    assert unread.digest == last[0]


def test_a_corrupt_manifest_is_named_and_nothing_is_pruned(full: Library) -> None:
    add(full.store.blobs, "", b"orphan")
    age(full)
    path = full.store.path(Name.parse("one"))
    path.write_bytes(path.read_bytes()[:-9])
    before = files(full.store.root)
    report = mended(full)
    assert found(report)[0] == (Kind.CORRUPT, ("one:latest",))
    assert len(report.problems) == 1
    assert files(full.store.root) == before


def test_unreadable_files_are_named(full: Library) -> None:
    path, other = weights(full, "one"), full.store.path(Name.parse("Two:x"))
    path.chmod(0)
    other.chmod(0)
    with without_privilege(full.store.root):
        report = Check(full).run()
    assert {(each.kind, each.models) for each in report.problems} == {
        (Kind.UNREADABLE, (Name.parse("one"),)),
        (Kind.UNREADABLE, (Name.parse("Two:x"),)),
    }
    assert {each.kind for each in report.notes} == {Kind.RECENT}  # who knows what that manifest needs
    assert all("Permission denied" in each.why for each in report.problems)


def test_a_folder_that_cannot_be_listed_is_a_problem_and_hides_no_orphans(full: Library) -> None:
    folder = full.store.path(Name.parse("one")).parent
    folder.chmod(0)
    try:
        with without_privilege(full.store.root):
            report = Check(full).run()
    finally:
        folder.chmod(0o755)
    assert [(each.kind, each.what) for each in report.problems] == [(Kind.UNREADABLE, str(folder))]
    assert {each.kind for each in report.notes} == {Kind.RECENT}


def test_a_file_in_the_place_of_the_folder_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(StoreUnusable, match="Not a directory"):
        Check(Library(tmp_path / "models")).run()


def test_a_folder_that_may_not_be_entered_is_one_clear_error(full: Library) -> None:
    full.store.root.chmod(0)
    try:
        with without_privilege(full.store.root), pytest.raises(StoreUnusable, match="Permission denied"):
            Check(full).run()
    finally:
        full.store.root.chmod(0o755)


def test_a_folder_that_may_only_be_read_is_checked_and_not_mended(full: Library) -> None:
    weights(full, "one").write_bytes(b"damaged")
    paths = [full.store.root, *full.store.root.rglob("*")]
    try:
        for path in paths:
            path.chmod(path.stat().st_mode & ~0o222)
        with without_privilege(full.store.root):
            check = Check(full)
            assert [kind for kind, _ in found(check.run())] == [Kind.DAMAGED]
            with pytest.raises(StoreUnusable, match="Permission denied"):
                repair(check)
    finally:
        for path in paths:
            path.chmod(path.stat().st_mode | 0o200)


def test_only_the_models_named_are_checked_and_mended(full: Library) -> None:
    one, two = weights(full, "one"), weights(full, "two:x")
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    add(full.store.blobs, "", b"orphan")
    age(full)
    assert found(Check(full, ["ONE"]).run()) == [(Kind.DAMAGED, ("one:latest",))]
    assert found(mended(full, "ONE")) == [(Kind.MISSING, ("one:latest",))]
    assert two.read_bytes() == b"2"
    assert full.store.blobs.has(Digest.of(b"orphan"))
    with pytest.raises(ModelNotFound, match="model 'three' not found"):
        Check(full, ["three"])


def test_a_removed_tiny_comes_back_only_when_it_is_asked_for(full: Library) -> None:
    full.delete("tiny")
    assert found(mended(full)) == [(Kind.HIDDEN, ("tiny:latest",))]
    assert found(Check(full, ["tiny"]).run()) == [(Kind.HIDDEN, ("tiny:latest",))]
    assert found(mended(full, "TINY")) == [(Kind.BUNDLED, ("tiny:latest",))]
    full.find("tiny")
