"""Models in a file: what is written, and what is made of files that nobody should trust."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.library import crashing
from tests.library.making import broken, files, gguf, make, unused
from tropa.library import manifest
from tropa.library.carry import export as exporting
from tropa.library.carry import load
from tropa.library.carry.errors import CannotExport, CannotImport
from tropa.library.carry.export import Export, export
from tropa.library.carry.load import Imported, contents, take
from tropa.library.carry.tar import header, padding
from tropa.library.errors import DamagedModel, InvalidManifest, ModelNotFound, StoreUnusable
from tropa.library.library import Library
from tropa.library.name import Name
from tropa.library.status import Status

ROOT = Path(__file__).parents[2]
Members = dict[str, bytes]


def silent(_: Status) -> None:
    pass


class Pipe(io.RawIOBase):
    """Bytes that come once, a few at a time."""

    def __init__(self, data: bytes) -> None:
        self._source = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        return self._source.readinto(view[:1000])


def piped(data: bytes) -> io.BufferedReader:
    return io.BufferedReader(Pipe(data))


OPENED: dict[str, Callable[[bytes], io.BufferedIOBase]] = {
    "file": io.BytesIO,
    "pipe": piped,
    "gzip": lambda data: io.BytesIO(gzip.compress(data, 1)),
}


@pytest.fixture(params=OPENED)
def opened(request: pytest.FixtureRequest) -> Callable[[bytes], io.BufferedIOBase]:
    return OPENED[request.param]


@pytest.fixture
def full(tmp_path: Path) -> Library:
    """Two models of the same weights, and one of others."""
    at = Library(tmp_path / "full")
    make(at, "one", gguf(tensors=2), system="be brief")
    make(at, "me/two:x", base="one", system="be long")
    make(at, "three", gguf(tensors=3), template="{{ .Prompt }}")
    return at


def tar_of(at: Library, *names: str) -> bytes:
    out = io.BytesIO()
    with Export(at, [*names]) as models:
        models.write(out, silent)
        assert len(out.getvalue()) == models.size
    return out.getvalue()


def unpacked(data: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {each.name: tar.extractfile(each).read() for each in tar}  # type: ignore[union-attr]


def packed(members: Members) -> bytes:
    parts = [header(name, len(data)) + data + padding(len(data)) for name, data in members.items()]
    return b"".join(parts) + bytes(1024)


def take_from(at: Library, data: bytes, name: str | None = None) -> list[Imported]:
    return take(at, io.BytesIO(data), silent, Name.parse(name) if name else None)


def hexed(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def with_manifest(members: Members, change: Callable[[dict[str, object]], None]) -> Members:
    """The same layout with another manifest, in agreement with its index."""
    index = json.loads(members["index.json"])
    entry = index["manifests"][0]
    old = f"blobs/sha256/{entry['digest'][7:]}"
    made = json.loads(members[old])
    change(made)
    data = json.dumps(made).encode()
    entry |= {"digest": f"sha256:{hexed(data)}", "size": len(data)}
    rest = {name: each for name, each in members.items() if name not in (old, "index.json")}
    return {"index.json": json.dumps(index).encode(), f"blobs/sha256/{hexed(data)}": data, **rest}


def test_a_model_comes_back_with_the_same_bytes_and_id(
    full: Library, library: Library, opened: Callable[[bytes], io.BufferedIOBase]
) -> None:
    data = tar_of(full, "one", "me/two:x", "three")
    imported = take(library, opened(data), silent)  # type: ignore[arg-type]
    assert files(library.store.root) == files(full.store.root)
    assert [(str(each.name), each.replaced, each.was_here) for each in imported] == [
        ("one:latest", False, False), ("me/two:x", False, False), ("three:latest", False, False),
    ]  # fmt: skip
    assert library.find("one").id == full.find("one").id == imported[0].id
    assert [*(library.store.home / "claims").iterdir()] == []


def test_the_file_is_an_image_layout_in_which_shared_blobs_are_once(full: Library) -> None:
    members = unpacked(tar_of(full, "one", "me/two:x", "one:latest"))
    assert json.loads(members["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads(members["index.json"])
    found = full.store.find(Name.parse("one"))
    assert found is not None
    stored = found.path.read_bytes()
    assert index["manifests"][0] == {
        "mediaType": manifest.MEDIA_TYPE,
        "digest": f"sha256:{hexed(stored)}",
        "size": len(stored),
        "annotations": {"org.opencontainers.image.ref.name": "registry.ollama.ai/library/one:latest"},
    }
    assert len(index["manifests"]) == 2
    assert members[f"blobs/sha256/{hexed(stored)}"] == stored
    blobs = {name: data for name, data in members.items() if name.startswith("blobs/")}
    assert all(name == f"blobs/sha256/{hexed(data)}" for name, data in blobs.items())
    assert len(blobs) == 2 + 2 * 2 + 1  # manifests; a config and a system prompt each; the weights


def test_equal_models_make_equal_files(full: Library, library: Library) -> None:
    take_from(library, tar_of(full, "one"))
    assert tar_of(library, "one") == tar_of(full, "one")


def test_a_program_that_writes_its_index_last_is_understood(
    full: Library, library: Library, opened: Callable[[bytes], io.BufferedIOBase]
) -> None:
    members = unpacked(tar_of(full, "one", "three"))
    shuffled = dict(sorted(members.items()))
    assert [*shuffled][-2:] == ["index.json", "oci-layout"]
    take(library, opened(packed(shuffled)), silent)  # type: ignore[arg-type]
    assert library.find("one").id == full.find("one").id
    assert broken(library.store) + unused(library.store) == []


def test_the_standard_tar_writers_are_understood(full: Library, library: Library) -> None:
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form) as tar:
            for folder in (".", "./blobs", "./blobs/sha256"):
                info = tarfile.TarInfo(folder)
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            long = tarfile.TarInfo("./" + "what/else/is/there/" * 12 + "ü")
            tar.addfile(long)
            for name, data in unpacked(tar_of(full, "one")).items():
                info = tarfile.TarInfo(f"./{name}")
                info.size, info.mtime = len(data), 1.5 if form == tarfile.PAX_FORMAT else 1
                tar.addfile(info, io.BytesIO(data))
        (model,) = take_from(library, out.getvalue(), f"format{form}")
        assert model.id == full.find("one").id


def test_the_bundled_model_can_be_carried_and_is_no_copy_where_it_is_bundled(
    furnished: Library, tmp_path: Path
) -> None:
    data = tar_of(furnished, "tiny")
    (here,) = take_from(furnished, data)
    assert here.was_here
    assert furnished.store.scan().found == ()
    elsewhere = Library(tmp_path / "elsewhere")
    take_from(elsewhere, data)
    assert elsewhere.find("tiny").id == furnished.find("tiny").id


def test_a_sender_comes_to_its_end_though_the_rest_is_padding(full: Library, library: Library) -> None:
    source = piped(tar_of(full, "one") + bytes(1 << 20))
    take(library, source, silent)
    assert source.read() == b""


def test_a_name_that_is_given_counts_if_there_is_one_model(full: Library, library: Library) -> None:
    assert str(take_from(library, tar_of(full, "one"), "me/mine")[0].name) == "me/mine:latest"
    assert [str(model.name) for model in library.models()] == ["me/mine:latest"]
    with pytest.raises(CannotImport, match="holds 2 models"):
        take_from(library, tar_of(full, "one", "three"), "mine")


@pytest.mark.parametrize("ref", [None, "latest", "v1.0", "../../etc", "a b:c"])
def test_a_model_without_a_whole_name_needs_one(ref: str | None, full: Library, library: Library) -> None:
    members = unpacked(tar_of(full, "one"))
    index = json.loads(members["index.json"])
    index["manifests"][0]["annotations"] = {"org.opencontainers.image.ref.name": ref} if ref else None
    data = packed(members | {"index.json": json.dumps(index).encode()})
    with pytest.raises(CannotImport) as caught:
        take_from(library, data)
    assert "NAME" in str(caught.value.hint)
    assert take_from(library, data, "one")[0].id == full.find("one").id


def test_a_model_of_that_name_is_replaced_and_what_only_it_used_goes(full: Library, library: Library) -> None:
    make(library, "one", gguf(tensors=5), system="old")
    (model,) = take_from(library, tar_of(full, "one"))
    assert model.replaced
    assert not model.was_here
    assert broken(library.store) + unused(library.store) == []
    (again,) = take_from(library, tar_of(full, "one"))
    assert again.was_here
    assert not again.replaced


def test_a_missing_or_damaged_blob_of_a_model_that_is_here_is_mended(full: Library, library: Library) -> None:
    data = tar_of(full, "one")
    take_from(library, data)
    weights = library.store.blobs.path(library.find("one").weights.digest)  # type: ignore[union-attr]
    weights.unlink()
    assert take_from(library, data)[0].was_here
    assert broken(library.store) == []


def test_listing_names_what_is_there_and_writes_nothing(
    full: Library, opened: Callable[[bytes], io.BufferedIOBase]
) -> None:
    found = contents(opened(tar_of(full, "three", "me/two:x")))  # type: ignore[arg-type]
    assert [(str(each.name), each.id) for each in found] == [
        ("three:latest", full.find("three").id),
        ("me/two:x", full.find("me/two:x").id),
    ]


def test_unknown_layers_are_kept_and_what_belongs_to_nobody_is_not(
    full: Library, library: Library, opened: Callable[[bytes], io.BufferedIOBase]
) -> None:
    extra, stray = b'{"layers": "of another kind"}', b"nobody's"

    def add(made: dict[str, object]) -> None:
        layer = {"mediaType": "x/unheard-of", "digest": f"sha256:{hexed(extra)}", "size": len(extra)}
        made["layers"].append(layer)  # type: ignore[attr-defined]

    members = with_manifest(unpacked(tar_of(full, "one")), add)
    members |= {f"blobs/sha256/{hexed(each)}": each for each in (extra, stray)} | {"README": b"hello"}
    take(library, opened(packed(members)), silent)  # type: ignore[arg-type]
    assert (library.store.blobs.folder / f"sha256-{hexed(extra)}").read_bytes() == extra
    assert broken(library.store) + unused(library.store) == []


def _raw(name: str, kind: bytes = b"0", link: str = "", size: int = 0) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info.tobuf(tarfile.GNU_FORMAT)


def _pax(records: bytes) -> bytes:
    return _raw("pax", b"x", size=len(records)) + records + padding(len(records))


HOSTILE: dict[str, tuple[bytes, str]] = {
    "parent": (_raw("../x"), "outside"),
    "parent inside": (_raw("blobs/../../x"), "outside"),
    "absolute": (_raw("/etc/passwd"), "outside"),
    "backslash": (_raw("..\\x"), "outside"),
    "drive": (_raw("C:/x"), "outside"),
    "symbolic link": (_raw("index.json", b"2", "/etc/passwd"), "symbolic link"),
    "hard link": (_raw("x", b"1", "index.json"), "hard link"),
    "character device": (_raw("x", b"3"), "device"),
    "block device": (_raw("x", b"4"), "device"),
    "pipe": (_raw("x", b"6"), "named pipe"),
    "sparse": (_raw("x", b"S"), "sparse"),
    "unknown type": (_raw("x", b"Q"), "unknown type"),
    "huge extended header": (_raw("x", b"x", size=1 << 33), "extended header of"),
    "huge long name": (_raw("x", b"L", size=1 << 33), "extended header of"),
    "parent by extended header": (_pax(b"13 path=../x\n") + _raw("y"), "outside"),
    "broken extended header": (_pax(b"99 path=x\n") + _raw("y"), "cannot be read"),
    "endless extended header": (_pax(b"0 path=x\n") + _raw("y"), "cannot be read"),
    "size by extended header": (_pax(b"11 size=-5\n") + _raw("y"), "size"),
    "sparse by extended header": (_pax(b"22 GNU.sparse.major=1\n") + _raw("y"), "sparse"),
    "huge member": (_raw("blobs/sha256/" + "a" * 64, size=1 << 62), "cut off|needs"),
    "no digest": (_raw("blobs/sha256/" + "A" * 64), "SHA-256"),
    "gigantic index": (_raw("index.json", size=1 << 40), "at most"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_member_is_refused_by_name(
    case: str, full: Library, library: Library, opened: Callable[[bytes], io.BufferedIOBase]
) -> None:
    member, message = HOSTILE[case]
    data = tar_of(full, "one")[:-1024] + member + bytes(1024)
    if case == "gigantic index":
        data = member + data
    before = files(library.store.root.parent)
    with pytest.raises(CannotImport, match=message):
        take(library, opened(data), silent)  # type: ignore[arg-type]
    assert files(library.store.root.parent) == before


def _changed(members: Members, name: str, data: bytes) -> bytes:
    return packed(members | {name: data})


def _wrong(full: Library) -> Iterator[tuple[str, bytes, str]]:
    members = unpacked(tar_of(full, "one"))
    index = json.loads(members["index.json"])
    entry = index["manifests"][0]
    weights = next(name for name, data in members.items() if data.startswith(b"GGUF"))
    made = f"blobs/sha256/{entry['digest'][7:]}"

    def without(name: str) -> bytes:
        return packed({key: data for key, data in members.items() if key != name})

    def entries(*found: object) -> bytes:
        return _changed(members, "index.json", json.dumps({"manifests": found}).encode())

    yield "blob missing", without(weights), "missing"
    yield "manifest missing", without(made), "missing"
    yield "index missing", without("index.json"), "no index.json"
    yield "marker missing", without("oci-layout"), "oci-layout"
    yield "version", _changed(members, "oci-layout", b'{"imageLayoutVersion":"2.0"}'), "version '2.0'"
    yield "marker", _changed(members, "oci-layout", b"[]"), "JSON object"
    yield "index", _changed(members, "index.json", b"{"), "cannot be read"
    yield "deep index", _changed(members, "index.json", b"[" * 100_000), "cannot be read"
    yield "no list", _changed(members, "index.json", b'{"manifests":{}}'), "no list"
    yield "no entries", entries(), "names no model"
    yield "entry", entries(7), "no list"
    yield "digest", entries(entry | {"digest": "md5:0"}), "SHA-256"
    yield "manifest's size", entries(entry | {"size": 7}), "7"
    yield (
        "layer as manifest",
        entries({"digest": f"sha256:{weights[13:]}", "size": len(members[weights])}),
        "no manifest",
    )
    yield "same bytes twice", tar_of(full, "one")[:-1024] + packed({weights: members[weights]}), "twice"
    yield "other bytes", _changed(members, weights, b"x" + members[weights][1:]), "other bytes"
    yield "other length", _changed(members, weights, members[weights] + b"x"), "bytes"
    yield "other manifest", _changed(members, made, members[made].replace(b"model", b"Model")), "other bytes"
    yield "docker save", packed({"manifest.json": b"[]", "repositories": b"{}"}), "docker save"
    yield "no tar", b"GGUF" + bytes(5000), "no tar"
    yield "text", b"hello", "no tar"
    yield "nothing", b"", "empty"
    yield "zeros", bytes(4096), "no tar|no OCI"
    yield "zstd", b"\x28\xb5\x2f\xfd" + bytes(600), "zstd"
    yield "gzip", gzip.compress(tar_of(full, "one"))[:300], "gzip"
    yield "gzip of nonsense", gzip.compress(b"x" * 1000), "no tar"
    yield "cut off", tar_of(full, "one")[:-1500], "cut off|missing"

    def image(fields: dict[str, object]) -> bytes:
        return packed(with_manifest(members, lambda found: found.update(fields)))

    layer = {
        "mediaType": "application/vnd.oci.image.layer.v1.tar",
        "digest": f"sha256:{weights[13:]}",
        "size": 1,
    }
    yield "container image", image({"layers": [layer]}), "is no model"
    yield "no config", image({"config": None}), "no config"
    yield "no digest", image({"layers": [layer | {"digest": "../../x"}]}), "names a blob"
    yield "negative size", image({"layers": [layer | {"size": -1}]}), "size -1"
    yield "tensors", image({"layers": [layer | {"mediaType": manifest.TENSOR}]}), "MLX"


WRONG = [
    "blob missing", "manifest missing", "index missing", "marker missing", "version", "marker", "index", "deep index",
    "no list", "no entries", "entry", "digest", "manifest's size", "layer as manifest", "same bytes twice",
    "other bytes", "other length", "other manifest", "docker save", "no tar", "text", "nothing", "zeros", "zstd",
    "gzip", "gzip of nonsense", "cut off", "container image", "no config", "no digest", "negative size", "tensors",
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_with_its_reason_and_leaves_nothing(
    case: str, stream: bool, full: Library, library: Library
) -> None:
    data, message = next((data, message) for name, data, message in _wrong(full) if name == case)
    make(library, "one", gguf(tensors=5))
    before = files(library.store.root)
    with pytest.raises((CannotImport, InvalidManifest), match=message):
        take(library, piped(data) if stream else io.BytesIO(data), silent)
    assert files(library.store.root) == before


def test_hundreds_of_mutated_files_leave_a_valid_store(full: Library, library: Library) -> None:
    chance = random.Random(6)
    whole = tar_of(full, "one", "three")
    make(library, "one", gguf(tensors=5))
    known = {model.id for at in (full, library) for model in at.models()}  # a spoilt name is a name
    refused = 0
    for turn in range(600):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            header_at = 512 * chance.randrange(len(data) // 512 + 1) + chance.randrange(160)
            at = min(len(data) - 1, chance.choice([chance.randrange(len(data)), header_at]))
            match chance.randrange(4):
                case 0:
                    data[at] ^= 1 << chance.randrange(8)
                case 1:
                    del data[at:]
                    data.extend(b"\0")
                case 2:
                    data[at:at] = data[at : at + 512]
                case _:
                    del data[at : at + 512]
        with suppress(CannotImport, InvalidManifest):
            refused += 1
            take(library, piped(bytes(data)) if turn % 2 else io.BytesIO(bytes(data)), silent)
            refused -= 1
        assert {model.id for model in library.models()} <= known
    assert refused > 300
    assert broken(library.store) + unused(library.store) == []
    assert {path.name for path in library.store.root.parent.iterdir()} == {"full", "models"}


def test_too_little_space_is_said_before_anything_is_written(
    full: Library, library: Library, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = tar_of(full, "one")
    for module in (load, exporting):
        monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(CannotImport, match="needs"):
        take_from(library, data)
    with pytest.raises(CannotExport, match="needs"):
        export(full, ["one"], tmp_path / "x.tar", silent)
    assert files(library.store.root) == {}
    assert not [*tmp_path.glob("*.tar")]


def test_a_file_that_exists_is_kept_unless_forced(full: Library, tmp_path: Path) -> None:
    file = tmp_path / "models.tar"
    file.write_bytes(b"precious")
    with pytest.raises(CannotExport, match="exists"):
        export(full, ["one"], file, silent)
    assert file.read_bytes() == b"precious"
    assert export(full, ["one"], file, silent, force=True) == [Name.parse("one")]
    assert file.read_bytes() == tar_of(full, "one")


def test_a_damaged_model_is_never_exported_and_no_file_appears(full: Library, tmp_path: Path) -> None:
    weights = max(full.store.blobs.folder.iterdir(), key=lambda path: path.stat().st_size)
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(DamagedModel, match="bytes of its blob"):
        export(full, ["three"], tmp_path / "x.tar", silent)
    weights.unlink()
    with pytest.raises(DamagedModel, match="missing"):
        export(full, ["three"], tmp_path / "x.tar", silent)
    with pytest.raises(ModelNotFound):
        export(full, ["one", "nothing"], tmp_path / "x.tar", silent)
    with pytest.raises(CannotExport, match="No such file"):
        export(full, ["one"], tmp_path / "no folder" / "x.tar", silent)
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    assert [*(full.store.home / "claims").iterdir()] == []


def test_a_blob_is_not_removed_while_it_is_exported(full: Library) -> None:
    out = io.BytesIO()
    with Export(full, ["three"]) as models:
        full.delete("three")
        models.write(out, silent)
    full.store.forget(set(full.store.mentioned()))  # nothing that is needed goes
    assert broken(full.store) == []
    assert take_from(full, out.getvalue())[0].name == Name.parse("three")


def test_a_folder_that_may_only_be_read_can_be_exported_from_and_not_imported_to(full: Library) -> None:
    whole = tar_of(full, "one")
    shutil.rmtree(full.store.home)
    full.store.home.write_bytes(b"")  # no lock and no claim can be made there, whoever asks
    assert tar_of(full, "one") == whole
    with pytest.raises(StoreUnusable, match="cannot use the model folder"):
        take_from(full, whole)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
@pytest.mark.parametrize("stream", [False, True])
def test_a_kill_at_any_step_of_an_import_leaves_a_valid_store(
    stream: bool, full: Library, tmp_path: Path
) -> None:
    template, work = tmp_path / "template", tmp_path / "work"
    for folder in (template, work):
        folder.mkdir()
    crashing.furnish(template)
    make(crashing.library(template), "one", gguf(tensors=7))
    (tmp_path / "models.tar").write_bytes(tar_of(full, "one", "three"))
    code = (
        "import io, os, sys; from pathlib import Path; from tests.library import crashing, test_carry; "
        "os.fsync = lambda fd: None; data = Path(sys.argv[3]).read_bytes(); "
        f"opened = test_carry.piped if {stream} else io.BytesIO; "
        "crashing.SCENARIOS['import'] = lambda at: test_carry.take(at, opened(data), test_carry.silent); "
        "crashing.main('every', 'import', *sys.argv[1:3])"
    )
    words = [sys.executable, "-c", code, str(template), str(work), str(tmp_path / "models.tar")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["steps"] > 20
