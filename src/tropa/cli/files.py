"""`list --files`: where the bytes of each model are."""

from __future__ import annotations

import sys
from typing import Any

from tropa.cli.command import Call
from tropa.cli.target import client
from tropa.text.sizes import format_size
from tropa.text.table import format_rows

_INDENT = "    "


def list_files(call: Call) -> int:
    sys.stdout.write(file_listing(client().get("/api/files"), call.args[0] if call.args else ""))
    return 0


def file_listing(answer: dict[str, Any], prefix: str = "") -> str:
    """What `list --files` prints for an answer of `GET /api/files`.

    A model a paragraph, a file a line. The paths come last and whole: they are longer than all the rest, and
    are there to be copied. The total counts a file once, however many of the listed models use it.
    """
    models = [
        model
        for model in answer.get("models") or []
        if str(model.get("name", "")).lower().startswith(prefix.lower())
    ]
    once = {file["digest"]: file["size"] for model in models for file in _present(model)}
    apart = sum(_size(model) for model in models)
    total = f"{_count(len(models), 'model')}, {_count(len(once), 'file')}, {format_size(sum(once.values()))}"
    if apart > sum(once.values()):
        total += f"; without sharing {format_size(apart)}"
    return "".join(f"{_model(model)}\n" for model in models) + f"{total}\n"


def _model(model: dict[str, Any]) -> str:
    title = f"{model.get('name', '')}{_INDENT}{format_size(_size(model))}\n"
    if problem := model.get("problem"):
        return f"{title}{_INDENT}{problem}\n"
    files = model.get("files") or []
    lines = format_rows([_cells(file) for file in files], _INDENT).splitlines()
    text = title
    for line, file in zip(lines, files, strict=True):
        text += line.rstrip() + "\n"
        if others := file.get("shared_with"):
            text += f"{_INDENT * 2}shared with {', '.join(others)}\n"
        if how := file.get("sharing"):
            text += f"{_INDENT * 2}its bytes are those of another file ({how})\n"
    return text


def _cells(file: dict[str, Any]) -> tuple[str, str, str]:
    size = "missing" if file.get("missing") else format_size(file.get("size", 0))
    return str(file.get("kind", "")), size, str(file.get("path", ""))


def _present(model: dict[str, Any]) -> list[dict[str, Any]]:
    return [file for file in model.get("files") or [] if not file.get("missing")]


def _size(model: dict[str, Any]) -> int:
    """Of the files that are there, one that is named twice counted once."""
    return sum({file["digest"]: file["size"] for file in _present(model)}.values())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
