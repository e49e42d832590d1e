"""From a Modelfile to what a client sends: the files to upload, and the fields of `POST /api/create`.

This is the client's half. It looks at the disk where the Modelfile lies and knows nothing of any library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tropa.library.errors import InvalidRecipe
from tropa.library.modelfile.folder import GGUF, PICKLE, NoWeights, model_files, refuse_pickle, sniff
from tropa.library.modelfile.parameters import parameters
from tropa.library.modelfile.syntax import Command, InvalidModelfile, Modelfile
from tropa.library.requirement import requirement
from tropa.library.shards import ShardName, siblings

Files = Mapping[str, Path]


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """Upload all files (`POST /api/blobs/<digest>`), then send `fields` with `model` and, per file, its digest.

    `files`, `adapters` and `drafts` map the names that go into the request's own `files`, `adapters` and
    `draft_files` to where the bytes are. `warnings` are to be shown.
    """

    files: Files = field(default_factory=dict)
    adapters: Files = field(default_factory=dict)
    drafts: Files = field(default_factory=dict)
    fields: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def request(modelfile: Modelfile, base_dir: Path) -> CreateRequest:
    """Raises InvalidModelfile, naming the line. Relative paths start at `base_dir`."""
    fields, warnings = said(modelfile)
    files = _sources(list(modelfile.of("from")), base_dir, fields)
    adapters: dict[str, Path] = {}
    for command in modelfile.of("adapter"):
        adapters = _companion(command, base_dir)  # the last one counts
    drafts = _drafts(list(modelfile.of("draft")), base_dir, files)
    return CreateRequest(files, adapters, drafts, fields, tuple(warnings))


def said(modelfile: Modelfile) -> tuple[dict[str, Any], list[str]]:
    """The fields of what is not a file, and warnings. Raises InvalidModelfile."""
    fields: dict[str, Any] = {}
    options, warnings = parameters(modelfile.of("parameter"))
    if options:
        fields["parameters"] = options
    for kind in ("template", "system", "renderer", "parser"):
        for command in modelfile.of(kind):
            fields[kind] = command.value
    for command in modelfile.of("requires"):
        fields["requires"] = _required(command)
    if messages := [{"role": each.key, "content": each.value} for each in modelfile.of("message")]:
        fields["messages"] = messages
    if licenses := [each.value for each in modelfile.of("license")]:
        fields["license"] = licenses
    return fields, warnings


def folder_request(folder: Path) -> CreateRequest:
    """What a folder with a model and without a Modelfile asks for. Raises NoWeights if it is none."""
    files: dict[str, Path] = {}
    _add(files, model_files(folder, None))
    _check_one_model(files, None)
    return CreateRequest(files)


def _sources(commands: list[Command], base_dir: Path, fields: dict[str, object]) -> dict[str, Path]:
    """The files that FROM lines name; a name that is no file goes into the fields."""
    files: dict[str, Path] = {}
    for command in commands:
        path = _local(command, base_dir)
        if path is None:
            fields["from"] = command.value
            continue
        try:
            _add(files, _taken(path, command))
        except NoWeights:
            if looks_like_path(command.value):
                raise
            fields["from"] = command.value  # some folder that happens to be called like a model
    _check_one_model(files, commands[-1].line if commands else None)
    return files


def _taken(path: Path, command: Command, *, adapter: bool = False) -> dict[str, Path]:
    """All that a path brings along: a folder its model, one part of a split model the others, safetensors what
    lies beside them.
    """
    if path.is_dir():
        return model_files(path, command.line, adapter=adapter)
    if not path.is_file():
        raise InvalidModelfile(f"not a regular file: {path}", line=command.line)
    if path.suffix.lower() == ".safetensors":
        return model_files(path.parent, command.line, adapter=adapter)
    if sniff(path) == PICKLE:
        refuse_pickle(path, command.line)
    return {each.name: each for each in siblings(path)}


def _companion(command: Command, base_dir: Path) -> dict[str, Path]:
    """The files of an ADAPTER or DRAFT: always a path, never a model's name."""
    path = _local(command, base_dir)
    if path is None:
        raise InvalidModelfile(
            f"no such file: {base_dir / command.value}",
            line=command.line,
            hint=f"{command.kind.upper()} takes a path, relative to the folder of the Modelfile",
        )
    return _taken(path, command, adapter=command.kind == "adapter")


def _drafts(commands: list[Command], base_dir: Path, sources: Files) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for command in commands:
        taken = _companion(command, base_dir)
        same = {path.resolve() for path in taken.values()} & {path.resolve() for path in sources.values()}
        if same:
            raise InvalidModelfile(
                f"DRAFT must not reference the same local path as FROM: {min(same)}", line=command.line
            )
        _add(files, taken)
    return files


def _required(command: Command) -> str:
    try:
        return requirement(command.value)
    except InvalidRecipe as exc:
        raise InvalidModelfile(str(exc), line=command.line, hint=exc.hint) from exc


def _local(command: Command, base_dir: Path) -> Path | None:
    """The file or folder that a value names; None if it can only be a model's name."""
    value = command.value
    if not value:
        what = "a model name or a path" if command.kind == "from" else "a path"
        hint = "FROM . takes the model in this folder" if command.kind == "from" else None
        raise InvalidModelfile(f"{command.kind.upper()} needs {what}", line=command.line, hint=hint)
    try:
        path = Path(value)
        path = path.expanduser() if value.startswith("~") else base_dir / path
        if path.exists():
            return path
    except (OSError, ValueError, RuntimeError):  # too long, a NUL in it, no such user: no path
        path = None
    if looks_like_path(value):
        raise InvalidModelfile(
            f"no such file: {path or value}",
            line=command.line,
            hint="the path is relative to the folder of the Modelfile",
        )
    return None


def looks_like_path(value: str) -> bool:
    """Texts that were meant as a path, whatever exists: an unknown model would be a puzzling complaint."""
    if value.startswith((".", "/", "~", "\\")):
        return True
    # `hf.co/user/repository:file.gguf` is a name: there the tag may be a file's
    return ":" not in value and value.lower().endswith((".gguf", ".safetensors", ".bin"))


def _add(files: dict[str, Path], taken: Files) -> None:
    for wanted, path in taken.items():
        name = wanted
        if name in files and not files[name].samefile(path):  # the server only wants them told apart
            name = f"{len(files)}/{name}"
        files[name] = path.resolve()


def _check_one_model(files: Files, line: int | None) -> None:
    """A folder may hold one model in many sizes. That is said before any of them is uploaded."""
    from tropa.gguf import InvalidGGUF, read
    from tropa.library.header import Kind, describe

    models: dict[str, str] = {}
    for name, path in files.items():
        if len(files) < 2 or sniff(path) != GGUF:
            continue
        try:
            if describe(read(path, part=True)).kind is Kind.MODEL:
                shard = ShardName.parse(name)
                models.setdefault(shard.prefix if shard else name, name)
        except InvalidGGUF:
            continue  # the server names what is wrong, as it does for a single file
    if len(models) > 1:
        raise InvalidModelfile(
            f"more than one model: {', '.join(sorted(models.values()))}",
            line=line,
            hint="name the file of one of them with FROM",
        )
