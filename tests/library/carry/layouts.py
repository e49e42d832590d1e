"""Image layouts in a tar: made of a library, taken apart, put together wrongly, read from a file or a pipe."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable

from tropa.library.carry.export import Export
from tropa.library.carry.load import Imported, take
from tropa.library.carry.tar import header, padding
from tropa.library.library import Library
from tropa.library.name import Name
from tropa.library.status import Status

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
