"""`tropa check`: what is wrong is found and named, what can be mended is, and nothing else is touched."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.library.making import add, broken, files, gguf, make, unused, write_manifest
from tests.registry.conftest import nobody
from tests.support.places import without_privilege
from tropa.cli.main import main
from tropa.errors import TropaError
from tropa.library import manifest
from tropa.library.check import Check, Kind, Report
from tropa.library.create import create
from tropa.library.digest import Digest
from tropa.library.errors import ModelNotFound, StoreUnusable
from tropa.library.library import Library
from tropa.library.name import InvalidName, Name
from tropa.library.prune import PARTIAL_KEPT, YOUNG
from tropa.library.recipe import recipe
from tropa.library.repair import repair
from tropa.registry.identity import Identity
from tropa.registry.registry import Registry

SYSTEM = Digest.of(b"be brief")


@pytest.fixture
def full(furnished: Library) -> Library:
    """Two models that share a layer, all of it old enough for a prune."""
    make(furnished, "one", gguf(tensors=1), system="be brief")
    make(furnished, "Two:x", gguf(tensors=2), system="be brief")
    age(furnished)
    return furnished


def age(library: Library, seconds: float = 2 * YOUNG) -> None:
    for path in library.store.blobs.folder.iterdir():
        os.utime(path, (time.time() - seconds,) * 2, follow_symlinks=False)


def weights(library: Library, name: str) -> Path:
    blob = library.find(name).weights
    assert blob is not None
    return blob.path


def found(report: Report) -> list[tuple[Kind, tuple[str, ...]]]:
    return [(each.kind, tuple(name.short for name in each.models)) for each in report.findings]


def mended(library: Library, *names: str) -> Report:
    """What a check finds after a repair."""
    check = Check(library, names)
    check.run()
    repair(check)
    return check.run()


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


# --- the folder of an existing Ollama installation


def installation(root: Path) -> None:
    """What years of use leave: an old layout, other people's media types, links, rubbish."""
    blobs = Library(root).store.blobs
    config = (
        b'{"model_format":"gguf","model_family":"llama","model_families":["llama","clip"],"model_type":"7B",'
        b'"file_type":"Q4_0","architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:0"]}}'
    )
    layers = [
        add(blobs, manifest.MODEL, gguf(llama__context_length=4096)),
        add(blobs, manifest.PROJECTOR, gguf("clip", general__type="mmproj", clip__has_vision_encoder=True)),
        add(blobs, manifest.PROMPT, b"[INST] {{ .Prompt }} [/INST]"),
        add(blobs, manifest.PARAMS, b'{"stop":["[INST]"]}'),
        add(blobs, "application/vnd.ollama.image.embed", b"old"),
        add(blobs, "application/vnd.example.of.tomorrow", b"?"),
    ]
    whole = manifest.compose(add(blobs, manifest.CONFIG, config), layers)
    odd = b" " + whole.replace(b'"schemaVersion":2', b'"schemaVersion":2,"annotations":{"a":null}') + b"\n"
    write_manifest(root, "registry.ollama.ai/library/LLaVA/7B", whole)
    write_manifest(root, "localhost:5000/Me/llava/v1.6", odd)
    write_manifest(root, "registry.ollama.ai/library/torn/latest", whole[: len(whole) // 2])
    write_manifest(root, "registry.ollama.ai/library/.DS_Store", b"\0")
    (root / "manifests/registry.ollama.ai/library/LLaVA/gone").symlink_to(root / "nowhere")
    for number, path in enumerate(sorted(blobs.folder.iterdir())):
        os.utime(path, (1e9, 1e9))
        if number % 2:
            path.rename(path.with_name(path.name.replace("-", ":")))


def test_an_existing_installation_works_as_it_is_and_stays_valid(tmp_path: Path) -> None:
    root = tmp_path / "models"
    installation(root)
    before = {path: data for path, data in files(root).items() if path.startswith("manifests")}
    library = Library(root)
    kinds = {kind for kind, _ in found(Check(library).run())}
    assert kinds == {Kind.CORRUPT, Kind.MISNAMED, Kind.STRAY}
    library.open()
    report = Check(library).run()
    assert {kind for kind, _ in found(report)} == {Kind.CORRUPT, Kind.STRAY}
    for name in ("llava:7b", "LOCALHOST:5000/me/LLAVA:V1.6"):
        model = library.find(name)
        assert model.template == "[INST] {{ .Prompt }} [/INST]"
        assert model.can("vision")
    assert {path: data for path, data in files(root).items() if path.startswith("manifests")} == before
    library.copy("llava:7B", "copy")
    library.delete("LLAVA:7b")
    library.delete("torn")
    assert [each for each in broken(library.store) if "ignoring" not in each] == []
    assert Check(library).run().problems == ()
    # the torn one is gone, so old and unused blobs may be told from others again
    loose = add(library.store.blobs, "", b"loose").blob
    age(library)
    assert found(mended(library))[0][0] is Kind.STRAY
    assert not library.store.blobs.has(loose)
    assert unused(library.store) == []


# --- names that mean harm

HOSTILE = [
    "../../etc/passwd", "..", ".", "/etc/passwd", "a/../../b", "../x:latest", "x:../../y", "x:..", "a/b/../c",
    "a\0b", "x:\0", "~/x", "x/.ssh/y", "..\\..\\x", "C:\\x", "a//b", "x:a/b:c/", "\N{FULLWIDTH FULL STOP}./x",
    "a/b/c/d/e/../f", "x\ny", "%2e%2e/x", "http://../../x", "x" * 5000, "a/" * 2000, "\ud800", "",
]  # fmt: skip
TOUCHING = {
    "open",
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.utime",
    "os.truncate",
    "socket.connect",
    "socket.getaddrinfo",
}
_seen: list[str] | None = None


def _watch(event: str, args: tuple[object, ...]) -> None:
    if _seen is not None and event in TOUCHING:
        _seen.extend(str(each) for each in args[:2] if isinstance(each, str | bytes | Path))
        if event.startswith("socket."):
            _seen.append(event)


@contextmanager
def watched() -> Iterator[list[str]]:
    """The paths that are opened, made, renamed or removed. A hook stays for ever; it only listens meanwhile."""
    global _seen
    if not hasattr(sys, "_tropa_watch"):
        sys.addaudithook(_watch)
        sys._tropa_watch = True  # type: ignore[attr-defined]
    touched: list[str] = []
    _seen = touched
    try:
        yield touched
    finally:
        _seen = None


def test_the_watch_sees_what_is_touched(tmp_path: Path) -> None:
    with watched() as touched:
        (tmp_path / "a").write_bytes(b"")
        (tmp_path / "a").rename(tmp_path / "b")
    assert {str(tmp_path / "a"), str(tmp_path / "b")} <= set(touched)


USES: dict[str, Callable[[Library, str], object]] = {
    "show": lambda at, name: at.find(name),
    "rm": lambda at, name: at.delete(name),
    "cp from": lambda at, name: at.copy(name, "new"),
    "cp to": lambda at, name: at.copy("one", name),
    "create": lambda at, name: list(create(at, recipe({"model": name, "from": "one", "system": "x"}))),
    "create from": lambda at, name: list(create(at, recipe({"model": "new", "from": name}))),
    "check": lambda at, name: Check(at, [name]),
}


@pytest.mark.parametrize("use", USES)
def test_a_hostile_name_never_reaches_the_filesystem(full: Library, use: str) -> None:
    before = files(full.store.root)
    for name in HOSTILE:
        with watched() as touched, pytest.raises(TropaError):
            USES[use](full, name)
        # An operation may announce itself before it looks at the name; nothing else.
        own = str(full.store.home)
        assert [path for path in touched if not path.startswith(own)] == [], name[:50]
    assert files(full.store.root) == before


def test_a_hostile_name_of_a_pull_reaches_neither_the_filesystem_nor_the_network(
    full: Library, tmp_path: Path
) -> None:
    registry = Registry(full, identity=Identity(tmp_path / "key"), keyring=nobody(tmp_path))
    try:
        for name in HOSTILE:
            with watched() as touched, pytest.raises(InvalidName):
                list(registry.pull(name))
            assert touched == [], name[:50]
    finally:
        registry.close()


@pytest.mark.parametrize(
    "text", ["sha256:../../x", "sha256-" + "0" * 63 + "/", "../" + "0" * 64, "sha256:" + "٣" * 64]
)
def test_a_hostile_digest_in_a_manifest_never_reaches_the_filesystem(full: Library, text: str) -> None:
    layer = {"mediaType": manifest.MODEL, "digest": text, "size": 1}
    write_manifest(full.store.root, "registry.ollama.ai/library/evil/latest", {"layers": [layer]})
    with watched() as touched, suppress(TropaError):
        full.find("evil")
    assert {Path(path).name for path in touched if "models" in path} <= {"latest"}
    assert (Kind.CORRUPT, ("evil:latest",)) in found(Check(full).run())


# --- the command


@pytest.fixture
def command(
    full: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("OLLAMA_MODELS", str(full.store.root))
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:1")  # no server is asked

    def command(*words: str) -> tuple[int, str, str]:
        status = main(["check", *words])
        return status, *capsys.readouterr()

    return command


def test_the_command_says_what_is_wrong_and_what_to_do(
    full: Library, command: Callable[..., tuple[int, str, str]]
) -> None:
    assert command() == (0, f"2 models, 5 blobs, {_size(full)}: all is well\n", "")
    weights(full, "one").write_bytes(b"damaged")
    status, out, err = command("one")
    assert status == 1
    assert out.startswith("damaged: sha256:")
    assert "needed by one:latest\n" in out
    assert "tropa check --repair" in err
    status, out, err = command("--repair")
    assert status == 1
    assert "put aside sha256:" in out
    assert "missing: sha256:" in out
    assert err == "To be pulled or created anew, or removed (tropa pull, create, rm): one:latest\n"
    full.delete("one")
    assert command()[0] == 0


def test_a_repair_that_leaves_nothing_wrong_ends_well(
    full: Library, command: Callable[..., tuple[int, str, str]]
) -> None:
    add(full.store.blobs, "", b"orphan")
    age(full)
    assert command()[0] == 1
    status, out, err = command("--repair")
    assert (status, err) == (0, "")
    assert "removed 1 file that nobody needs" in out
    assert out.endswith(": all is well\n")


def test_a_model_that_is_not_there_is_an_error(command: Callable[..., tuple[int, str, str]]) -> None:
    assert command("three") == (1, "", "Error: model 'three' not found\n")


def _size(library: Library) -> str:
    from tropa.text.sizes import format_size

    return format_size(sum(path.stat().st_size for path in library.store.blobs.folder.iterdir()))
