"""Damaged and hostile files by the hundred: each is imported or refused, quickly, and never with a bug's traceback."""

from __future__ import annotations

import json
import random
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.library.convert.making import Source, source
from tropa.errors import TropaError

FILES = {
    "llama": ["model.safetensors", "config.json", "tokenizer.model", "tokenizer_config.json"],
    "llama3": ["model.safetensors", "tokenizer.json", "generation_config.json", "config.json"],
    "phi3": ["config.json"],
    "gemma2": ["config.json", "tokenizer.model"],
}
CASES = [(name, file) for name, files in FILES.items() for file in files]
HEAD = 4000
"""Bytes at the start of a file that are changed; of weights it is the header."""
MEMORY = 256 << 20
ODD: list[Any] = [
    *(None, True, -1, 0, 1, 3, 2**31, 2**64, 10**30, 1e39, 1e308, 0.5, -0.0, "", "x", "\ud800", [], {}, [[]]),
    *(
        ["a", "b"],
        [0, 1],
        [1, 0],
        [-1, 2**62],
        [2**63, 2**63],
        [2**20] * 4,
        {"content": "<s>"},
        {"a": {"b": []}},
    ),
]
BITS = [b"9", b"-", b"null", b'"', b"[", b"{}", b"\xff\xff\xff\xff\xff", b"1e99", b"\x00"]


def survives(folder: Source, file: str, mutants: Iterator[bytes], place: Path) -> tuple[int, int]:
    """How many were imported and how many refused. Anything but a refusal is raised; so is greed."""
    path = folder.files[file] = place / "mutant"
    found = [0, 0]
    before, longest = peak(), 0
    for data in mutants:
        path.write_bytes(data)
        try:
            folder.convert()
        except TropaError as error:
            longest = max(longest, len(str(error)))
            found[1] += 1
        else:
            found[0] += 1
    assert peak() - before < MEMORY
    assert longest < 2000, "nobody reads such a message"
    return found[0], found[1]


def peak() -> int:
    """The most memory that this process ever had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


@pytest.mark.parametrize(("name", "file"), CASES)
def test_bytes_that_changed(name: str, file: str, tmp_path: Path) -> None:
    folder = source(name, tmp_path)
    whole = folder.files[file].read_bytes()
    _, refused = survives(folder, file, bytewise(whole, random.Random(file), 200), tmp_path)
    assert refused > 20


@pytest.mark.parametrize(("name", "file"), [case for case in CASES if not case[1].endswith(".model")])
def test_values_that_changed(name: str, file: str, tmp_path: Path) -> None:
    folder = source(name, tmp_path)
    whole = folder.files[file].read_bytes()
    imported, refused = survives(folder, file, valuewise(whole, file, random.Random(file), 200), tmp_path)
    assert imported + refused == 200
    assert refused > 20 or file in ("tokenizer_config.json", "generation_config.json")


def bytewise(whole: bytes, chance: random.Random, count: int) -> Iterator[bytes]:
    head = 8 + int.from_bytes(whole[:8], "little") if whole[8:9] == b"{" else min(len(whole), HEAD)
    for _ in range(count):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 1, 2, 8])):
            at = chance.randrange(head)
            match chance.randrange(4):
                case 0:
                    data[at : at + 1] = bytes([chance.randrange(256)])
                case 1:
                    del data[at : at + chance.choice([1, 2, 30])]
                case 2:
                    data[at:at] = chance.choice(BITS)
                case _:
                    other = chance.randrange(head)
                    data[at : at + 6] = data[other : other + 6]
        yield bytes(data[: chance.randrange(len(data))] if chance.random() < 0.05 else data)


def valuewise(whole: bytes, file: str, chance: random.Random, count: int) -> Iterator[bytes]:
    """The JSON stays JSON: some of its values, anywhere in it, are others."""
    weights = file.endswith(".safetensors")
    start = 8 + int.from_bytes(whole[:8], "little") if weights else len(whole)
    text = whole[8 if weights else 0 : start]
    for _ in range(count):
        content = json.loads(text)
        for _ in range(chance.choice([1, 1, 2])):
            change(content, chance)
        changed = json.dumps(content).encode()
        yield (len(changed).to_bytes(8, "little") if weights else b"") + changed + whole[start:]


def change(content: Any, chance: random.Random) -> None:
    """One value in a list or object, at any depth."""
    keys = list(content) if isinstance(content, dict) else list(range(len(content)))
    if not keys:
        return
    key = chance.choice(keys)
    if isinstance(content[key], dict | list) and chance.random() < 0.8:
        change(content[key], chance)
    elif chance.random() < 0.1:
        del content[key]
    else:
        content[key] = chance.choice(ODD)
