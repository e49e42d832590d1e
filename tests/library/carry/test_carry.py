"""Models in a file: what is written, and what comes back."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.library import crashing
from tests.library.carry.layouts import (
    hexed,
    packed,
    piped,
    silent,
    take_from,
    tar_of,
    unpacked,
    with_manifest,
)
from tests.library.making import broken, files, gguf, make, unused
from tropa.library import manifest
from tropa.library.carry import export as exporting
from tropa.library.carry import load
from tropa.library.carry.errors import CannotExport, CannotImport
from tropa.library.carry.export import Export, export
from tropa.library.carry.load import contents, take
from tropa.library.errors import DamagedModel, ModelNotFound, StoreUnusable
from tropa.library.library import Library
from tropa.library.name import Name

ROOT = Path(__file__).parents[3]


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
        "import io, os, sys; from pathlib import Path; "
        "from tests.library import crashing; from tests.library.carry import layouts; "
        "os.fsync = lambda fd: None; data = Path(sys.argv[3]).read_bytes(); "
        f"opened = layouts.piped if {stream} else io.BytesIO; "
        "crashing.SCENARIOS['import'] = lambda at: layouts.take(at, opened(data), layouts.silent); "
        "crashing.main('every', 'import', *sys.argv[1:3])"
    )
    words = [sys.executable, "-c", code, str(template), str(work), str(tmp_path / "models.tar")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["steps"] > 20
