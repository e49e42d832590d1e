"""How quickly a folder of safetensors becomes a GGUF, and how much memory that takes.

A user waits for it once per model, with many gigabytes on a disk that can be copied at some speed: that speed is the
measure, so the same bytes are copied in the same rounds, in turns. Memory should follow the largest tensor and
never the model. Both are done by processes of their own, which say themselves how large they became; each forces what
it wrote onto the disk. The weights are random, as Llama, in the types that folders come in.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.support.figures import Spread, interleaved
from benchmarks.support.home import home
from benchmarks.support.report import Report, arguments

SIZE, QUICK_SIZE = 2_000_000_000, 200_000_000  # bytes of the folder
LEAST_SHARE = 0.3  # of the speed of copying
SLACK = 60_000_000  # bytes above a process that only copies, besides three times the largest tensor
MB = 1_000_000
WIDTHS = {"F16": 2, "BF16": 2, "F32": 4}
CONVERT = """
import os, resource, sys
from pathlib import Path
from tropa.library.convert.convert import convert
folder = Path(sys.argv[1])
with open(sys.argv[2], "wb", buffering=0) as out:
    convert({path.name: path for path in folder.iterdir()}, out)
    os.fsync(out.fileno())
status = Path("/proc/self/status")
if status.exists():  # of this program alone; what came before it in the process does not count
    print(status.read_text().partition("VmHWM:")[2].split()[0])
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
COPY = """
import os, resource, sys
from pathlib import Path
with open(sys.argv[2], "wb", buffering=0) as out:
    for path in sorted(Path(sys.argv[1]).iterdir()):
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(16 << 20):
                out.write(chunk)
    os.fsync(out.fileno())
status = Path("/proc/self/status")
if status.exists():  # of this program alone; what came before it in the process does not count
    print(status.read_text().partition("VmHWM:")[2].split()[0])
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@dataclass(frozen=True, slots=True)
class Run:
    """One process: how long it took, and the most memory it had."""

    seconds: float
    peak: int


def main() -> None:
    args = arguments(__doc__, rounds=5, quick=2)
    size = QUICK_SIZE if args.quick else SIZE
    report = Report("convert", {"rounds": args.rounds, "bytes": size})
    for dtype in WIDTHS:
        if args.only.upper() in dtype:
            with home() as place:
                _measure(report, place.path, dtype, size, args.rounds)
    report.finish()


def _measure(report: Report, place: Path, dtype: str, size: int, rounds: int) -> None:
    folder, largest = make(place / "folder", dtype, size)
    real = sum(path.stat().st_size for path in folder.iterdir())
    out = place / "out"

    def convert(_: int) -> Run:
        return _run(CONVERT, folder, out)

    def copy(_: int) -> Run:
        return _run(COPY, folder, out)

    copy(0)  # what was just written is in the page cache for both
    pairs = interleaved(rounds, convert, copy)
    ours = Spread.of(real / MB / mine.seconds for mine, _ in pairs)
    plain = Spread.of(real / MB / other.seconds for _, other in pairs)
    share = Spread.of(other.seconds / mine.seconds for mine, other in pairs)
    peak = max(mine.peak for mine, _ in pairs)
    base = max(other.peak for _, other in pairs)
    report.say(
        f"{dtype}: {real / MB:.0f} MB at {ours.text(0)} MB/s; copied at {plain.text(0)} MB/s: {share.text(2)} of it; "
        f"peak memory {peak / MB:.0f} MB, copying {base / MB:.0f} MB, largest tensor {largest / MB:.0f} MB"
    )
    report.figure(f"{dtype}, MB/s", ours.record())
    report.figure(f"{dtype}, copying, MB/s", plain.record())
    report.figure(f"{dtype}, share of copying", share.record())
    report.figure(f"{dtype}, peak memory, MB", round(peak / MB))
    report.aim(f"{dtype}, share of copying", share.median, least=LEAST_SHARE)
    report.aim(f"{dtype}, peak memory, MB", peak / MB, most=(base + 3 * largest + SLACK) / MB)


def _run(program: str, folder: Path, out: Path) -> Run:
    began = time.perf_counter()
    reply = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(out)], stdout=subprocess.PIPE, check=True, text=True
    )
    seconds = time.perf_counter() - began
    out.unlink()
    return Run(seconds, int(reply.stdout) << 10)


def make(folder: Path, dtype: str, size: int) -> tuple[Path, int]:
    """A Llama of about so many bytes, in one file. The folder, and the bytes of its largest tensor."""
    width, vocab = (2048, 32000) if size > 10**9 else (1024, 8000)
    hidden = 4 * width
    each = 2 * width**2 + 2 * width * width // 4 + 3 * width * hidden
    layers = max(1, (size // WIDTHS[dtype] - 2 * vocab * width) // each)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": width,
        "intermediate_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
        "vocab_size": vocab,
    }
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens": (vocab, width),
        "lm_head": (vocab, width),
        "model.norm": (width,),
    }
    for i in range(layers):
        at = f"model.layers.{i}"
        shapes |= {f"{at}.input_layernorm": (width,), f"{at}.post_attention_layernorm": (width,)}
        shapes |= {f"{at}.self_attn.{part}_proj": (width, width) for part in "qo"}
        shapes |= {f"{at}.self_attn.{part}_proj": (width // 4, width) for part in "kv"}
        shapes |= {f"{at}.mlp.{part}_proj": (hidden, width) for part in ("gate", "up")}
        shapes[f"{at}.mlp.down_proj"] = (width, hidden)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(_tokenizer()))
    _weights(folder / "model.safetensors", shapes, dtype)
    return folder, max(int(np.prod(shape)) for shape in shapes.values()) * WIDTHS[dtype]


def _tokenizer() -> dict[str, Any]:
    """256 letters; the rest of the vocabulary is filled up."""
    return {
        "pre_tokenizer": {"type": "ByteLevel", "use_regex": True},
        "model": {"type": "BPE", "vocab": {chr(256 + i): i for i in range(256)}, "merges": []},
    }


def _weights(path: Path, shapes: dict[str, tuple[int, ...]], dtype: str) -> None:
    header, at = {}, 0
    for name, shape in shapes.items():
        count = int(np.prod(shape)) * WIDTHS[dtype]
        header[f"{name}.weight"] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + count]}
        at += count
    values = np.random.default_rng(1).normal(0, 0.02, 1 << 20).astype("<f4")
    block = {"F32": values, "F16": values.astype("<f2"), "BF16": values.view("<u2")[1::2]}[dtype].tobytes()
    raw = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(raw).to_bytes(8, "little") + raw)
        whole, rest = divmod(at, len(block))
        for _ in range(whole):
            file.write(block)
        file.write(block[:rest])


if __name__ == "__main__":
    main()
