"""The files that were uploaded, by the names they had. Their content is untrusted: JSON is read with limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tropa.library.convert.errors import InvalidModelFolder

TEXT = 64 << 20
"""Bytes of one JSON or text file. The largest tokenizer.json there are take 35 MB."""


class Folder:
    """Files by relative name; their places on this machine are never shown to anyone."""

    def __init__(self, files: Mapping[str, Path]) -> None:
        tops = {name.partition("/")[0] for name in files}
        inside = len(tops) == 1 and all(
            "/" in name for name in files
        )  # the folder's own name is in front of all
        self.files = {name.partition("/")[2] if inside else name: path for name, path in files.items()}
        self._parsed: dict[str, dict[str, Any]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def names(self, ending: str) -> list[str]:
        return sorted(name for name in self.files if name.lower().endswith(ending))

    def bytes(self, name: str) -> bytes:
        """The content of a file that is there. Raises InvalidModelFolder."""
        try:
            with self.files[name].open("rb") as file:
                data = file.read(TEXT + 1)
        except OSError as error:
            raise InvalidModelFolder(f"{name} can't be read: {error.strerror}") from error
        if len(data) > TEXT:
            raise InvalidModelFolder(f"{name} is larger than {TEXT >> 20} MiB, which no such file is")
        return data

    def text(self, name: str) -> str:
        """As `bytes`, decoded."""
        try:
            return self.bytes(name).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidModelFolder(f"{name} is not valid UTF-8 at byte {error.start}") from error

    def json(self, name: str) -> dict[str, Any] | None:
        """The object in a file, None if there is no such file. Bare NaN and Infinity, which Python writes, are 0.

        It is read once; nobody may change it.
        """
        if name not in self.files:
            return None
        if name not in self._parsed:
            self._parsed[name] = parse(self.text(name), name)
        return self._parsed[name]

    def forget(self) -> None:
        """Let go of what was read: a tokenizer.json takes some hundred megabytes."""
        self._parsed.clear()


def parse(text: str, name: str) -> dict[str, Any]:
    """JSON text as an object. Raises InvalidModelFolder, with `name` for the file."""
    try:
        found = json.loads(text, parse_constant=lambda _: 0.0)
    except (ValueError, RecursionError) as error:
        raise InvalidModelFolder(f"parse {name}: {error}") from error
    if not isinstance(found, dict):
        raise InvalidModelFolder(f"parse {name}: it holds no JSON object")
    return found
