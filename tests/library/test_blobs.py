from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tropa.library.blobs import Blobs, Stored, Writer
from tropa.library.digest import Digest
from tropa.library.errors import BlobNotFound, DigestMismatch, StoreUnusable

DATA = b"hello" * 1000
DIGEST = Digest.of(DATA)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "models" / "blobs")


def names(blobs: Blobs) -> list[str]:
    return sorted(path.name for path in blobs.folder.iterdir())


def test_bytes_get_the_name_of_their_digest(blobs: Blobs) -> None:
    assert blobs.put(DIGEST, [DATA[:7], b"", DATA[7:]]) == Stored(DIGEST, len(DATA), created=True)
    assert blobs.path(DIGEST).read_bytes() == DATA
    assert names(blobs) == [f"sha256-{DIGEST.hex}"]
    assert blobs.path(DIGEST).stat().st_mode & 0o777 == 0o644


def test_bytes_without_an_expected_digest_get_theirs(blobs: Blobs) -> None:
    assert blobs.put(None, [DATA]).digest == DIGEST
    assert blobs.put(None, []).digest == Digest.of(b"")


def test_other_bytes_than_expected_leave_nothing(blobs: Blobs) -> None:
    with pytest.raises(DigestMismatch) as caught:
        blobs.put(DIGEST, [b"other"])
    assert str(caught.value) == f'digest mismatch, expected "{DIGEST}", got "{Digest.of(b"other")}"'
    assert names(blobs) == []


def test_nothing_has_its_name_before_it_is_complete(blobs: Blobs) -> None:
    with blobs.writer(DIGEST) as writer:
        writer.write(DATA)
        assert not blobs.has(DIGEST)
        writer.commit()
        assert blobs.has(DIGEST)


def test_leaving_without_a_commit_leaves_nothing(blobs: Blobs) -> None:
    with blobs.writer(DIGEST) as writer:
        writer.write(DATA)
    assert names(blobs) == []
    writer.abort()  # harmless, twice


def test_the_same_bytes_again_are_not_created_but_made_young(blobs: Blobs) -> None:
    blobs.put(DIGEST, [DATA])
    os.utime(blobs.path(DIGEST), (1, 1))
    assert blobs.put(DIGEST, [DATA]) == Stored(DIGEST, len(DATA), created=False)
    assert blobs.path(DIGEST).stat().st_mtime > 1
    assert names(blobs) == [f"sha256-{DIGEST.hex}"]


def test_a_blob_cut_short_behind_our_back_is_mended_by_the_next_upload(blobs: Blobs) -> None:
    blobs.put(DIGEST, [DATA])
    blobs.path(DIGEST).write_bytes(DATA[:10])
    assert blobs.put(DIGEST, [DATA]).created
    assert blobs.path(DIGEST).read_bytes() == DATA


def test_two_writers_of_the_same_bytes_both_succeed(blobs: Blobs) -> None:
    first, second = blobs.writer(DIGEST), blobs.writer(DIGEST)
    for writer in (first, second):
        writer.write(DATA)
    assert first.commit().created
    assert not second.commit().created
    assert names(blobs) == [f"sha256-{DIGEST.hex}"]


def test_many_threads_may_write_the_same_bytes(blobs: Blobs) -> None:
    start = threading.Barrier(8)
    results: list[Stored] = []

    def put() -> None:
        start.wait()
        results.append(blobs.put(DIGEST, [DATA]))

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [result.digest for result in results] == [DIGEST] * 8
    assert names(blobs) == [f"sha256-{DIGEST.hex}"]


def test_a_small_blob_is_read_whole_and_a_large_one_refused(blobs: Blobs) -> None:
    blobs.put_bytes(DATA)
    assert blobs.read(DIGEST, len(DATA)) == DATA
    with pytest.raises(StoreUnusable, match="larger than 10 bytes"):
        blobs.read(DIGEST, 10)
    with pytest.raises(BlobNotFound):
        blobs.read(Digest.of(b""), 10)


def test_an_adopted_file_is_stored_and_stays_where_it_was(blobs: Blobs, tmp_path: Path) -> None:
    file = tmp_path / "own.gguf"
    file.write_bytes(DATA)
    assert blobs.adopt(file, DIGEST).created
    file.write_bytes(b"changed in place")
    assert blobs.path(DIGEST).read_bytes() == DATA


def test_a_file_that_never_changes_is_linked_not_copied(blobs: Blobs, tmp_path: Path) -> None:
    file = tmp_path / "installed.gguf"
    file.write_bytes(DATA)
    assert blobs.adopt(file, immutable=True).created
    assert blobs.path(DIGEST).samefile(file)
    assert not blobs.adopt(file, immutable=True).created
    with pytest.raises(DigestMismatch):
        blobs.adopt(file, Digest.of(b"other"), immutable=True)


def test_a_file_that_is_replaced_while_it_is_taken_in_is_not_linked_under_the_old_digest(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update of the program between the hashing and the linking."""
    file, newer = tmp_path / "installed.gguf", tmp_path / "newer.gguf"
    file.write_bytes(DATA)
    newer.write_bytes(b"other")
    link = os.link

    def update_first(source: Path, target: Path) -> None:
        if newer.exists():
            newer.replace(file)
        link(source, target)

    monkeypatch.setattr(os, "link", update_first)
    with pytest.raises(DigestMismatch):
        blobs.adopt(file, DIGEST, immutable=True)
    assert names(blobs) == []
    assert blobs.adopt(file, immutable=True).digest == Digest.of(b"other")
    assert names(blobs) == [Digest.of(b"other").file_name]


def test_a_file_that_is_changed_while_it_is_taken_in_is_stored_as_it_was_read_or_not_at_all(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "own.gguf"
    write = Writer.write

    def then_change(writer: Writer, chunk: bytes) -> None:
        write(writer, chunk)
        file.write_bytes(b"changed" * len(DATA))

    monkeypatch.setattr(Writer, "write", then_change)
    for expected in (DIGEST, None):
        file.write_bytes(DATA)
        try:
            stored = blobs.adopt(file, expected)
        except DigestMismatch:
            assert names(blobs) == []
        else:
            assert Digest.of(blobs.path(stored.digest).read_bytes()) == stored.digest


def test_where_linking_fails_the_file_is_copied(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    file = tmp_path / "installed.gguf"
    file.write_bytes(DATA)
    assert blobs.adopt(file, immutable=True).created
    assert not blobs.path(DIGEST).samefile(file)


def test_where_the_filesystem_shares_bytes_the_shared_file_is_hashed(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def reflink(target: int, request: int, source: int) -> int:
        assert request == 0x40049409
        os.write(target, os.pread(source, 1 << 20, 0))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", reflink)
    file = tmp_path / "own.gguf"
    file.write_bytes(DATA)
    assert blobs.adopt(file) == Stored(DIGEST, len(DATA), created=True)
    assert blobs.path(DIGEST).read_bytes() == DATA


def test_what_cannot_be_taken_in_is_named(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=r"cannot take in .*nothing\.gguf"):
        blobs.adopt(tmp_path / "nothing.gguf")


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with pytest.raises(StoreUnusable, match=r'cannot use the model folder ".*blobs": Not a directory'):
        Blobs(tmp_path / "models" / "blobs").put(None, [DATA])


def test_a_full_disk_leaves_nothing(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreUnusable, match="No space left on device"):
        blobs.put(None, [DATA])
    assert names(blobs) == []


def test_short_writes_are_continued(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: whole(fd, data[: max(1, len(data) // 2)]))
    blobs.put(DIGEST, [DATA])
    assert blobs.path(DIGEST).read_bytes() == DATA
