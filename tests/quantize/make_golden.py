"""Writes golden.json: what the engine's own `llama-quantize` makes of our sources.

    python -m tests.quantize.make_golden PATH/TO/llama-quantize

Build that from the very source of the pinned engine: the sdist of xllamacpp has it under thirdparty/llama.cpp
(cmake -B build -DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=OFF && cmake --build build --target llama-quantize).
Also compares whole files, headers included, and stops at the first that differs from ours.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.quantize.outlines import OUTLINES
from tests.quantize.sources import SOURCES, make
from tropa.gguf import GGUF, read
from tropa.quantize.errors import CannotQuantize
from tropa.quantize.filetype import KNOWN
from tropa.quantize.quantize import plan, quantize

GOLDEN = Path(__file__).with_name("golden.json")


def weights(gguf: GGUF) -> dict[str, str]:
    """What a file is without its header: `types` in short, and a digest of all names, types and numbers."""
    digest = hashlib.sha256()
    with gguf.path.open("rb") as file:
        for tensor in gguf.tensors:
            digest.update(f"{tensor.name} {tensor.dims} {tensor.type.name}\n".encode())
            file.seek(gguf.data_offset + tensor.offset)
            digest.update(file.read(tensor.nbytes))
    kinds = [tensor.type.name for tensor in gguf.tensors]
    return {
        "types": " ".join(f"{kind}:{kinds.count(kind)}" for kind in sorted(set(kinds))),
        "digest": digest.hexdigest()[:32],
    }


def ours(source: Path, kind: str) -> bytes:
    out = io.BytesIO()
    for _ in quantize(plan(read(source), KNOWN[kind]), out):
        pass
    return out.getvalue()


def types(planned: dict[str, str]) -> str:
    """A digest of which tensor gets which type."""
    lines = "".join(f"{name} {planned[name]}\n" for name in sorted(planned))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def dry_run(tool: str, path: Path, kind: str) -> dict[str, str] | None:
    """What the tool would make of each tensor; None if it refuses."""
    done = subprocess.run([tool, "--dry-run", path, path.with_name("none"), kind, "1"], capture_output=True)
    text = (done.stdout + done.stderr).decode()
    line = re.compile(
        r"\[ *\d+/ *\d+\] +(\S+) +- \[.*?\], type = +(\S+), size =.*?MiB(?: ->.*?\((\S+)\))?$", re.MULTILINE
    )
    return None if done.returncode else {m[1]: (m[3] or m[2]).upper() for m in line.finditer(text)}


def outlines(tool: str, folder: Path) -> dict[str, dict[str, str | None]]:
    """The choices for models of many sizes, weights left out."""
    golden: dict[str, dict[str, str | None]] = {}
    for name, outline in OUTLINES.items():
        path = outline.write(folder / "outline.gguf")
        golden[name] = {}
        for kind in KNOWN:
            theirs = dry_run(tool, path, kind)
            golden[name][kind] = None if theirs is None else types(theirs)
            if theirs is not None and theirs != chosen(path, kind):
                sys.exit(f"{name} {kind}: other choices than ours")
    return golden


def chosen(path: Path, kind: str) -> dict[str, str]:
    """Our choice for each tensor."""
    return {each.tensor.name: each.type.name.upper() for each in plan(read(path), KNOWN[kind]).targets}


def main(tool: str) -> None:
    golden: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in SOURCES:
            path = make(source, folder)
            made: dict[str, dict[str, str] | None] = {"source": weights(read(path))}
            golden[source] = made
            for kind in KNOWN:
                result = folder / "result.gguf"
                done = subprocess.run([tool, str(path), str(result), kind], capture_output=True)
                if done.returncode:
                    made[kind] = None  # it refuses
                    try:
                        plan(read(path), KNOWN[kind])
                    except CannotQuantize:
                        continue
                    sys.exit(f"{source} {kind}: the tool refuses, we do not")
                if ours(path, kind) != result.read_bytes():
                    sys.exit(f"{source} {kind}: ours differs")
                made[kind] = weights(read(result))
                result.unlink()
        golden["outlines"] = outlines(tool, folder)
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
