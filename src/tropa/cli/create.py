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
from tropa.cli.nearby import shared
from tropa.cli.progress import Progress
from tropa.cli.target import client
from tropa.client.client import BLOCK, Client
from tropa.errors import TropaError
from tropa.library.modelfile.folder import NoWeights
from tropa.library.modelfile.request import CreateRequest, folder_request, request
from tropa.library.modelfile.syntax import parse_bytes
from tropa.library.name import InvalidName, Name
from tropa.quantize.filetype import file_type
from tropa.text.progress import Bar

_DEFAULT = "Modelfile"
_STDIN = "-"
_WARNING = "warning: "
_NO_MODELFILE = (
    "write one (it begins with FROM and a model), name another with -f, or go to a folder of weights"
)


class CannotRead(TropaError):
    """A file that `create` needs is missing, unreadable, or not what it was a moment ago."""

    code = "cannot-read"


def create(call: Call) -> int:
    (model,) = call.args
    try:
        Name.parse(model)
    except InvalidName as error:
        raise InvalidName(model, f"invalid model name: {model}") from error
    packed = {flag: text for flag in ("quantize", "draft-quantize") if (text := call.text(flag))}
    for text in packed.values():
        file_type(text)  # a mistake is said before anything is uploaded
    wanted = _wanted(call.text("file"))
    server = client()
    server.alive()  # before a long time is spent on hashing
    for warning in wanted.warnings:
        sys.stderr.write(f"{warning}\n")
    with Progress(keep=True, told=True) as progress:
        fields = {**wanted.fields, **_uploaded(wanted, server, progress)}
        fields |= {flag.replace("-", "_"): text for flag, text in packed.items()}
        warnings = _make(server, {"model": model, **fields}, progress)
    for warning in warnings:
        sys.stderr.write(f"{warning}\n")
    return 0


def _wanted(name: str | None) -> CreateRequest:
    """What the Modelfile asks for; without one, what the folder we are in is."""
    if name == _STDIN:
        return request(parse_bytes(sys.stdin.buffer.read()), _here())
    path = Path(name or _DEFAULT)
    try:
        modelfile = parse_bytes(path.read_bytes())
    except FileNotFoundError as exc:
        if name is not None:
            raise CannotRead(f"no such file: {path}") from exc
        try:
            return folder_request(_here())
        except NoWeights as nothing:
            hint = nothing.hint if "git-lfs" in (nothing.hint or "") else _NO_MODELFILE
            raise CannotRead(f"no such file: {path}", hint=hint) from nothing
    except OSError as exc:
        raise _unreadable(path, exc) from exc
    return request(modelfile, path.absolute().parent)


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError as exc:
        raise CannotRead("the folder we are in is not there any more") from exc


def _uploaded(wanted: CreateRequest, server: Client, progress: Progress) -> dict[str, dict[str, str]]:
    """The fields that name files: every file by its digest, after the server has them all."""
    fields = {"files": wanted.files, "adapters": wanted.adapters, "draft_files": wanted.drafts}
    if any(fields.values()):
        progress.status("gathering model components")
    return {
        field: {name: _upload(path, server, progress) for name, path in files.items()}
        for field, files in fields.items()
        if files
    }


def _upload(path: Path, server: Client, progress: Progress) -> str:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest = _digest(path, file, progress.bar(f"reading {path.name}", size), progress)
            if not server.has_blob(digest) and not shared(file, digest, server):
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


def _make(server: Client, body: Mapping[str, object], progress: Progress) -> list[str]:
    """Have the server make the model. What it warns of comes back, to be said where it cannot be overlooked."""
    bars: dict[str, Bar] = {}
    warnings: list[str] = []
    with closing(server.stream("/api/create", body)) as records:
        for record in records:
            status, total = str(record.get("status", "")), record.get("total") or 0
            if status.startswith(_WARNING):
                warnings.append(status)
            elif not total:
                progress.status(status)
            else:
                if status not in bars:
                    bars[status] = progress.bar(status, total)
                progress.move(bars[status], record.get("completed") or 0)
    return warnings


def _unreadable(path: Path, error: OSError) -> CannotRead:
    return CannotRead(f"cannot read {path}: {error.strerror or error}")
