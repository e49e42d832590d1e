"""`create`: read the Modelfile, upload the files it names, have the server make the model."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from tropa.cli.command import Call
from tropa.cli.progress import Progress
from tropa.cli.target import client
from tropa.client.client import BLOCK, Client
from tropa.errors import TropaError
from tropa.library.modelfile.request import CreateRequest, request
from tropa.library.modelfile.syntax import Modelfile, parse_bytes
from tropa.library.name import InvalidName, Name
from tropa.text.progress import Bar

_DEFAULT = "Modelfile"
_STDIN = "-"


class CannotRead(TropaError):
    """A file that `create` needs is missing, unreadable, or not what it was a moment ago."""

    code = "cannot-read"


def create(call: Call) -> int:
    (model,) = call.args
    try:
        Name.parse(model)
    except InvalidName as error:
        raise InvalidName(model, f"invalid model name: {model}") from error
    modelfile, folder = _modelfile(call.text("file"))
    wanted = request(modelfile, folder)
    server = client()
    server.alive()  # before a long time is spent on hashing
    for warning in wanted.warnings:
        sys.stderr.write(f"{warning}\n")
    with Progress(keep=True) as progress:
        fields = {**wanted.fields, **_uploaded(wanted, server, progress)}
        if quantize := call.text("quantize"):
            fields["quantize"] = quantize
        _make(server, {"model": model, **fields}, progress)
    return 0


def _modelfile(name: str | None) -> tuple[Modelfile, Path]:
    """The Modelfile, and the folder that its paths are relative to."""
    if name == _STDIN:
        return parse_bytes(sys.stdin.buffer.read()), Path.cwd()
    path = Path(name or _DEFAULT)
    try:
        return parse_bytes(path.read_bytes()), path.absolute().parent
    except FileNotFoundError as exc:
        hint = "name it with -f" if name is None else None
        raise CannotRead(f"no such file: {path}", hint=hint) from exc
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _uploaded(wanted: CreateRequest, server: Client, progress: Progress) -> dict[str, dict[str, str]]:
    """The `files` field: every file by its digest, after the server has them all."""
    if not wanted.files:
        return {}
    progress.status("gathering model components")
    return {"files": {name: _upload(path, server, progress) for name, path in wanted.files.items()}}


def _upload(path: Path, server: Client, progress: Progress) -> str:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest = _digest(path, file, progress.bar(f"reading {path.name}", size), progress)
            if not server.has_blob(digest):
                file.seek(0)
                bar = progress.bar(f"copying file {digest[:19]}", size)
                server.upload(digest, _blocks(path, file, bar, progress), size)
            return digest
    except OSError as exc:
        raise _unreadable(path, exc) from exc


def _digest(path: Path, file: BinaryIO, bar: Bar, progress: Progress) -> str:
    digest = hashlib.sha256()
    for block in _blocks(path, file, bar, progress):
        digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def _blocks(path: Path, file: BinaryIO, bar: Bar, progress: Progress) -> Generator[bytes, None, None]:
    """Exactly as many bytes as the file had when it was opened: the server waits for what it was told."""
    left = bar.total
    while left:
        try:
            block = file.read(min(BLOCK, left))
        except OSError as exc:
            raise _unreadable(path, exc) from exc
        if not block:
            raise CannotRead(f"{path} was changed while it was being read")
        yield block
        left -= len(block)
        progress.move(bar, bar.total - left)


def _make(server: Client, body: Mapping[str, object], progress: Progress) -> None:
    bar: Bar | None = None
    with closing(server.stream("/api/create", body)) as records:
        for record in records:
            status, total = str(record.get("status", "")), record.get("total") or 0
            if not total:
                progress.status(status)
                continue
            if bar is None or bar.message != status:
                bar = progress.bar(status, total)
            progress.move(bar, record.get("completed") or 0)


def _unreadable(path: Path, error: OSError) -> CannotRead:
    return CannotRead(f"cannot read {path}: {error.strerror or error}")
