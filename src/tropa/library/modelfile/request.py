"""From a Modelfile to what a client sends: the files to upload, and the fields of `POST /api/create`.

This is the client's half. It looks at the disk where the Modelfile lies and knows nothing of any library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tropa.library.errors import NotSupportedYet
from tropa.library.modelfile.parameters import parameters
from tropa.library.modelfile.syntax import Command, InvalidModelfile, Modelfile

_LATER = ("adapter", "draft", "template", "renderer", "parser", "requires")


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """Upload `files` (`POST /api/blobs/<digest>`), then send `fields` with `model` and, per file, its digest.

    `files` maps the name that goes into the request's own `files` to where the bytes are. `warnings` are to
    be shown.
    """

    files: Mapping[str, Path] = field(default_factory=dict)
    fields: Mapping[str, object] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def request(modelfile: Modelfile, base_dir: Path) -> CreateRequest:
    """Raises InvalidModelfile or NotSupportedYet, naming the line. Relative paths start at `base_dir`."""
    for command in modelfile.commands:
        if command.kind in _LATER:
            raise NotSupportedYet(command.kind.upper(), line=command.line)
    fields: dict[str, object] = {}
    files = _sources(list(modelfile.of("from")), base_dir, fields)
    options, warnings = parameters(modelfile.of("parameter"))
    if options:
        fields["parameters"] = options
    for command in modelfile.of("system"):
        fields["system"] = command.value
    if messages := [{"role": each.key, "content": each.value} for each in modelfile.of("message")]:
        fields["messages"] = messages
    if licenses := [each.value for each in modelfile.of("license")]:
        fields["license"] = licenses
    return CreateRequest(files, fields, tuple(warnings))


def _sources(commands: list[Command], base_dir: Path, fields: dict[str, object]) -> dict[str, Path]:
    """The files that FROM lines name; a name that is no file goes into the fields."""
    files: dict[str, Path] = {}
    for command in commands:
        path = _local(command, base_dir)
        if path is None:
            fields["from"] = command.value
        elif path.is_dir():
            raise NotSupportedYet("FROM a folder", line=command.line, hint="give a .gguf file")
        else:
            _add(files, path, command)
    return files


def _local(command: Command, base_dir: Path) -> Path | None:
    """The file or folder that a FROM value names; None if it can only be a model's name."""
    value = command.value
    if not value:
        raise InvalidModelfile("FROM needs a model name or a path", line=command.line)
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


def _add(files: dict[str, Path], path: Path, command: Command) -> None:
    if not path.is_file():
        raise InvalidModelfile(f"not a regular file: {path}", line=command.line)
    name = path.name
    if name in files and not files[name].samefile(path):  # the server only wants them told apart
        name = f"{len(files)}/{name}"
    files[name] = path.resolve()
