"""Folders for the importer: those of the goldens, and small ones to be broken."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gguf
from tests.goldens import folder
from tests.goldens.specs import SPECS
from tropa.library.convert.convert import Converted, convert

NUMPY = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F8_E4M3": "u1", "I64": "<i8", "U8": "u1"}


def imported(name: str, place: Path) -> Path:
    """The GGUF of the golden model `name`."""
    return as_gguf(folder.files(folder.write(SPECS[name], place / name)), place / f"{name}.gguf")[0]


def as_gguf(files: Mapping[str, Path], path: Path) -> tuple[Path, Converted]:
    """The files converted to `path`."""
    with path.open("wb") as out:
        return path, convert(files, out)


def safetensors(tensors: Mapping[str, tuple[str, NDArray[Any]]], header: bytes | None = None) -> bytes:
    """A file of tensors, each with the type it is said to have; `header` instead of the right one."""
    entries, parts, at = {}, [], 0
    for name, (dtype, array) in tensors.items():
        raw = array.astype(NUMPY[dtype]).tobytes()
        entries[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [at, at + len(raw)],
        }
        parts.append(raw)
        at += len(raw)
    head = json.dumps(entries).encode() if header is None else header
    return b"".join([len(head).to_bytes(8, "little"), head, *parts])


@dataclass
class Source:
    """The folder of a golden model, to change before it is imported."""

    files: dict[str, Path]
    place: Path

    @property
    def config(self) -> dict[str, Any]:
        return self.json("config.json")

    def json(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.files[name].read_text())
        return found

    def put(self, name: str, content: bytes | str | Any) -> None:
        """A file with these bytes, this text, or this as JSON."""
        path = self.place / f"put-{len(list(self.place.iterdir()))}"
        match content:
            case bytes():
                path.write_bytes(content)
            case str():
                path.write_text(content)
            case _:
                path.write_text(json.dumps(content))
        self.files[name] = path

    def configure(self, **fields: Any) -> None:
        """config.json with other fields; None takes one away."""
        changed = {**self.config, **fields}
        self.put("config.json", {key: value for key, value in changed.items() if value is not None})

    def tensors(self) -> dict[str, tuple[str, NDArray[Any]]]:
        """The weights, as float32."""
        data = self.files["model.safetensors"].read_bytes()
        start = 8 + int.from_bytes(data[:8], "little")
        found = {}
        for name, entry in json.loads(data[8:start]).items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                raw = np.frombuffer(data[start + begin : start + end], NUMPY[entry["dtype"]])
                values = (raw.astype("<u4") << 16).view("<f4") if entry["dtype"] == "BF16" else raw
                found[name] = ("F32", values.astype("<f4").reshape(entry["shape"]))
        return found

    def change(self, change: Callable[[dict[str, tuple[str, NDArray[Any]]]], object]) -> None:
        """Other weights."""
        tensors = self.tensors()
        change(tensors)
        self.put("model.safetensors", safetensors(tensors))

    def convert(self) -> Converted:
        """The import, its bytes thrown away."""
        return convert(self.files, BytesIO())

    def read(self) -> gguf.GGUFReader:
        """The import, as the `gguf` package reads it."""
        path, _ = as_gguf(self.files, self.place / "out.gguf")
        return gguf.GGUFReader(path)


def source(name: str, place: Path, **changes: Any) -> Source:
    """A golden model's folder; `changes` to its spec (dtype, tokenizer)."""
    at = folder.write(dataclasses.replace(SPECS[name], **changes), place / "hf")
    (place / "put").mkdir()
    return Source(folder.files(at), place / "put")


def value(reader: gguf.GGUFReader, key: str) -> Any:
    """The value of a key, None without it."""
    field = reader.get_field(key)
    return None if field is None else field.contents()
