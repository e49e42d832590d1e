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
import subprocess
import sys
import tempfile
from pathlib import Path

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


def main(tool: str) -> None:
    golden: dict[str, dict[str, dict[str, str] | None]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in SOURCES:
            path = make(source, folder)
            golden[source] = {"source": weights(read(path))}
            for kind in KNOWN:
                result = folder / "result.gguf"
                done = subprocess.run([tool, str(path), str(result), kind], capture_output=True)
                if done.returncode:
                    golden[source][kind] = None  # it refuses
                    try:
                        plan(read(path), KNOWN[kind])
                    except CannotQuantize:
                        continue
                    sys.exit(f"{source} {kind}: the tool refuses, we do not")
                if ours(path, kind) != result.read_bytes():
                    sys.exit(f"{source} {kind}: ours differs")
                golden[source][kind] = weights(read(result))
                result.unlink()
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
