from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.library.making import add, broken, files, unused, write_manifest
from tests.support.places import without_privilege
from tropa.library import manifest
from tropa.library.digest import Digest
from tropa.library.errors import BlobNotFound, StoreUnusable
from tropa.library.name import Name
from tropa.library.prune import CORRUPT, PARTIAL_KEPT, UNLOCKED, YOUNG, abandoned, prune
from tropa.library.store import Store

X, Y = Name.parse("x"), Name.parse("y")
LATER = 10 * YOUNG


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def put(store: Store, name: Name, *texts: bytes) -> bytes:
    """Write a model made of these texts; the bytes of its manifest come back."""
    config = add(store.blobs, manifest.CONFIG, b"{}")
    data = manifest.compose(config, [add(store.blobs, manifest.LICENSE, text) for text in texts])
    store.write(name, data)
    return data


def age(store: Store, seconds: float) -> None:
    """Make every blob this old."""
    for path in store.blobs.folder.iterdir():
        os.utime(path, (path.stat().st_mtime - seconds,) * 2)


def test_a_manifest_is_stored_byte_for_byte_under_its_name(store: Store) -> None:
    data = put(store, Name.parse("hf.co/Me/X:Q4"), b"a")
    assert (store.root / "manifests/hf.co/Me/X/Q4").read_bytes() == data


def test_a_manifest_is_refused_while_a_blob_is_missing(store: Store) -> None:
    put(store, X, b"a")
    before = files(store.root)
    layer = manifest.Layer(manifest.LICENSE, str(Digest.of(b"gone")), 4)
    with pytest.raises(BlobNotFound):
        store.write(X, manifest.compose(add(store.blobs, manifest.CONFIG, b"{}"), [layer]))
    assert files(store.root) == before


def test_writing_over_a_model_drops_what_only_it_used(store: Store) -> None:
    put(store, X, b"a", b"shared")
    put(store, Y, b"shared")
    put(store, X, b"b")
    assert not store.blobs.has(Digest.of(b"a"))
    assert store.blobs.has(Digest.of(b"shared"))
    assert not broken(store)
    assert not unused(store)


def test_writing_over_a_model_drops_nothing_when_told_so(store: Store) -> None:
    put(store, X, b"a")
    config = add(store.blobs, manifest.CONFIG, b"{}")
    store.write(X, manifest.compose(config, []), prune=False)
    assert store.blobs.has(Digest.of(b"a"))


def test_bytes_reach_the_disk_before_the_name_that_promises_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, rename = os.fsync, os.replace

    def fsync(fd: int) -> None:
        steps.append("sync folder" if stat.S_ISDIR(os.fstat(fd).st_mode) else "sync file")
        sync(fd)

    def replace(source: Path, target: Path) -> None:
        steps.append("blob" if "blobs" in str(target) else "manifest")
        rename(source, target)

    put(store, Y, b"other")  # so that all folders exist
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    put(store, Y, b"a")
    one = ["sync file", "blob", "sync folder"]
    assert steps == [*one, "sync file", "manifest", "sync folder"]


def test_a_name_in_other_letter_case_is_the_same_model(store: Store) -> None:
    put(store, Name.parse("Me/Llama:8B"), b"a")
    put(store, Name.parse("me/llama:8b"), b"b")
    assert [found.name.short for found in store.scan().found] == ["Me/Llama:8B"]
    assert (found := store.find(Name.parse("ME/LLAMA:8b"))) is not None
    assert found.name.short == "Me/Llama:8B"


def test_asking_for_a_name_looks_at_no_other_models_folder(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client's unknown model among a thousand was 130 ms in which nobody else was served."""
    for name in ("me/llama:8b", "me/other:1", "you/llama:8b", "h.io/me/llama:8b"):
        put(store, Name.parse(name), b"a")
    seen: list[str] = []
    scandir = os.scandir

    def watched(folder: str | Path) -> Any:
        seen.append(str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", watched)
    assert store.find(Name.parse("ME/Llama:70b")) is None
    assert {Path(folder).name for folder in seen} == {"manifests", "registry.ollama.ai", "me", "llama"}


def test_removing_a_model_keeps_shared_blobs_and_empties_folders(store: Store) -> None:
    put(store, X, b"a", b"shared")
    put(store, Name.parse("me/y:t"), b"shared")
    assert store.remove(Name.parse("ME/Y:T"))
    assert not (store.manifests / "registry.ollama.ai/me").exists()
    assert store.blobs.has(Digest.of(b"shared"))
    assert store.remove(X)
    assert not store.remove(X)
    assert files(store.root) == {}


def test_a_corrupt_manifest_can_be_removed_and_its_blobs_with_it(store: Store) -> None:
    put(store, X, b"a")
    path = store.path(X)
    path.write_bytes(path.read_bytes()[:-10])
    assert store.remove(X)
    assert files(store.root) == {}


def test_a_corrupt_manifest_still_protects_what_it_mentions(store: Store) -> None:
    data = put(store, X, b"shared")
    put(store, Y, b"shared")
    store.path(Y).write_bytes(b"[" + data)
    store.remove(X)
    assert store.blobs.has(Digest.of(b"shared"))


def test_what_is_no_manifest_is_passed_over_with_a_warning(store: Store) -> None:
    put(store, X, b"a")
    write_manifest(store.root, "registry.ollama.ai/library/x/.DS_Store", b"\0")
    write_manifest(store.root, "registry.ollama.ai/library/x/deep/er", b"{}")
    write_manifest(store.root, "registry.ollama.ai/stray", b"{}")
    write_manifest(store.root, "registry.ollama.ai/a.b/c/latest", b"{}")
    (store.manifests / "registry.ollama.ai/library/x/dangling").symlink_to("/nowhere/at/all")
    (store.manifests / "circle").symlink_to("circle")
    scan = store.scan()
    assert [found.name for found in scan.found] == [X]
    warned = "\n".join(scan.warnings)
    for part in (".DS_Store", "deep", "a.b", "dangling"):
        assert part in warned
    assert store.remove(X)


def test_a_store_that_is_not_there_is_empty(store: Store) -> None:
    assert store.scan().found == ()
    assert store.find(X) is None
    assert not store.root.exists()


def test_a_folder_in_the_way_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(StoreUnusable) as caught:
        prune(Store(tmp_path / "models"))
    assert str(tmp_path / "models") in str(caught.value)
    assert "ensure path elements are traversable" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_read_only_store_can_be_read(store: Store) -> None:
    put(store, X, b"a")
    paths = [store.root, *store.root.rglob("*")]
    try:
        for path in paths:
            path.chmod(path.stat().st_mode & ~0o222)
        with without_privilege(store.root):
            assert store.find(X) is not None
            with pytest.raises(StoreUnusable, match="Permission denied"):
                store.remove(X)
    finally:
        for path in paths:
            path.chmod(path.stat().st_mode | 0o200)


def test_pruning_removes_old_blobs_that_nobody_mentions(store: Store) -> None:
    put(store, X, b"a")
    store.blobs.put_bytes(b"unused")
    age(store, 2 * YOUNG)
    store.blobs.put_bytes(b"young")
    result = prune(store)
    assert (result.total, result.removed) == (4, 1)
    assert result.freed > 0
    assert unused(store) == [Digest.of(b"young").file_name]
    assert not broken(store)


def test_noprune_removes_only_what_crashed_writes_left(store: Store) -> None:
    store.blobs.put_bytes(b"unused")
    (store.blobs.folder / ".tropa-leftover").write_bytes(b"x")
    age(store, 2 * YOUNG)
    prune(store, unused=False)
    assert unused(store) == [Digest.of(b"unused").file_name]


def test_a_corrupt_manifest_stops_the_pruning(store: Store) -> None:
    put(store, X, b"a")
    store.blobs.put_bytes(b"unused")
    write_manifest(store.root, "registry.ollama.ai/library/y/latest", b'{"layers": [')
    age(store, 2 * YOUNG)
    result = prune(store)
    assert result.removed == 0
    assert CORRUPT in result.warnings
    assert any("y/latest" in warning for warning in result.warnings)


def test_unfinished_downloads_are_kept_for_a_week(store: Store) -> None:
    partial = f"{Digest.of(b'x').file_name}-partial"
    store.blobs.put_bytes(b"x")
    for name in (partial, f"{partial}-3"):
        (store.blobs.folder / name).write_bytes(b"half")
    age(store, PARTIAL_KEPT - 60)
    prune(store)
    assert set(unused(store)) == {partial, f"{partial}-3"}
    age(store, 120)
    prune(store)
    assert unused(store) == []


def test_the_references_own_leftovers_are_swept_but_no_folder(store: Store) -> None:
    store.blobs.put_bytes(b"x")
    for name in ("sha256-123456", "COPY42", "Q4_K_M7"):
        (store.blobs.folder / name).write_bytes(b"")
    (store.blobs.folder / "split-gguf-1").mkdir()
    age(store, 2 * YOUNG)
    prune(store)
    assert unused(store) == ["split-gguf-1"]


def test_a_file_that_somebody_is_writing_is_no_leftover_however_old(store: Store) -> None:
    with store.blobs.writer() as writer:
        writer.write(b"slow")
        age(store, 2 * YOUNG)
        prune(store)
        assert writer.commit().created


def test_what_a_killed_writer_left_goes_after_a_minute(store: Store) -> None:
    """It may be as large as a model. Other programs lock nothing, so theirs stay for the hour."""
    store.blobs.put_bytes(b"x")
    for name in (".tropa-left", "sha256-123456"):
        (store.blobs.folder / name).write_bytes(b"half a model")
    with store.blobs.writer() as writer:
        writer.write(b"slow")
        age(store, UNLOCKED - 10)
        prune(store)
        assert (store.blobs.folder / ".tropa-left").exists()
        age(store, 20)
        prune(store)
        assert not (store.blobs.folder / ".tropa-left").exists()
        assert (store.blobs.folder / "sha256-123456").exists()
        assert writer.commit().created


@pytest.mark.skipif(sys.platform == "win32", reason="locks are not kept over a rename there")
def test_a_blob_is_locked_by_its_writer_until_it_has_its_name(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.replace

    def replace(source: Path, target: Path) -> None:
        assert not abandoned(Path(source))
        rename(source, target)
        renamed.append(target)

    renamed: list[Path] = []
    monkeypatch.setattr(os, "replace", replace)
    store.blobs.put_bytes(b"x")
    assert renamed == [store.blobs.path(Digest.of(b"x"))]


def test_the_old_spelling_of_blob_names_is_renamed(store: Store) -> None:
    put(store, X, b"a")
    path = store.blobs.path(Digest.of(b"a"))
    for old in (path.name.replace("-", ":"), f"sha256-{Digest.of(b'a').hex.upper()}"):
        path.rename(path.with_name(old))
        prune(store)
        assert path.exists()


def test_empty_folders_and_unfinished_manifests_go(store: Store) -> None:
    put(store, X, b"a")
    (store.manifests / "hf.co/a/b").mkdir(parents=True)
    (store.manifests / ".tropa-half").write_bytes(b"{")
    prune(store)
    assert sorted(path.name for path in store.manifests.iterdir()) == ["registry.ollama.ai"]


def test_what_an_operation_claims_is_spared_until_it_ends(store: Store) -> None:
    put(store, X, b"a")
    loose = store.blobs.put_bytes(b"loose").digest
    with store.claim() as claim:
        claim.add(Digest.of(b"a"), loose)
        age(store, 2 * YOUNG)
        store.remove(X)
        prune(store)
        assert store.blobs.has(Digest.of(b"a"))
        assert store.blobs.has(loose)
    prune(store)
    assert unused(store) == []
    assert list((store.home / "claims").iterdir()) == []


CLAIMER = """
import sys
from pathlib import Path
from tropa.library.digest import Digest
from tropa.library.store import Store
store = Store(Path(sys.argv[1]))
claim = store.claim()
claim.add(Digest(sys.argv[2]))
print("claimed", flush=True)
sys.stdin.read()
"""


def test_the_claim_of_another_process_counts_as_long_as_it_lives(store: Store) -> None:
    digest = store.blobs.put_bytes(b"loose").digest
    command = [sys.executable, "-c", CLAIMER, str(store.root), digest.hex]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"claimed\n"
        age(store, 2 * YOUNG)
        prune(store)
        assert store.blobs.has(digest)
        other.kill()
        other.wait()
        prune(store)
        assert not store.blobs.has(digest)
