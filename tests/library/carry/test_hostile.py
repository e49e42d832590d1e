"""Files that nobody should trust: refused by name and with the reason, and nothing of them stays."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.library.carry.layouts import (
    Members,
    packed,
    piped,
    silent,
    tar_of,
    unpacked,
    with_manifest,
)
from tests.library.making import broken, files, gguf, make, unused
from tropa.library import manifest
from tropa.library.carry.errors import CannotImport
from tropa.library.carry.load import take
from tropa.library.carry.tar import padding
from tropa.library.errors import InvalidManifest
from tropa.library.library import Library


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
