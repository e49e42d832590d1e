"""How quickly weights are packed, and in how much memory.

A 100M-parameter F16 model (220 MB) is brought to each of the types; `ours` is the speed at which it is read. Memory
is the largest that the worker became. With LLAMA_QUANTIZE in the environment (the engine's own tool, built from the
same source) the same work is timed there, in turns with ours.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.support import models

from benchmarks.support.home import home
from benchmarks.support.report import Report, arguments
from tropa.gguf import read
from tropa.quantize.filetype import KNOWN
from tropa.quantize.quantize import plan, quantize

QUICK, ALL = ("Q8_0", "Q4_K_M"), ("Q8_0", "Q4_0", "Q4_K_M", "Q5_K_M", "Q6_K", "Q2_K")
SLACK = 60_000_000  # bytes a worker takes with nothing in its hands
PER_THREAD = 30_000_000
MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """How long it took, and the largest resident size of the worker, in bytes."""

    seconds: float
    peak: int


def ours(source: Path, kind: str) -> Run:
    largest = 0
    with tempfile.TemporaryFile(dir=source.parent) as out:
        start = time.monotonic()
        for _ in quantize(plan(read(source), KNOWN[kind]), out):
            for child in psutil.Process().children():
                largest = max(largest, child.memory_info().rss)
        return Run(time.monotonic() - start, largest)


def tool(path: str | None, source: Path, kind: str) -> float:
    """Seconds; 0 without a tool."""
    if path is None:
        return 0.0
    start = time.monotonic()
    result = source.with_name("tool.gguf")
    subprocess.run(["nice", "-n", "10", path, source, result, kind], check=True, capture_output=True)
    result.unlink()
    return time.monotonic() - start


def main() -> None:
    args = arguments(__doc__, rounds=3, quick=1)
    other = os.environ.get("LLAMA_QUANTIZE")
    report = Report("quantize", {"rounds": args.rounds, "llama_quantize": bool(other)})
    threads = psutil.cpu_count() or 1
    with home() as place:
        source = models.llama_100m(place.path / "source.gguf", type="F16")
        size = source.stat().st_size
        for kind in (each for each in (QUICK if args.quick else ALL) if args.only.upper() in each):
            runs = [(ours(source, kind), tool(other, source, kind)) for _ in range(args.rounds)]
            seconds = min(mine.seconds for mine, _ in runs)
            largest = max(mine.peak for mine, _ in runs)
            text = f"  {kind:7} {seconds:6.1f} s  {size / seconds / MB:5.0f} MB/s  {largest / MB:4.0f} MB"
            report.figure(kind, {"seconds": round(seconds, 2), "worker_bytes": largest})
            if other:
                theirs = min(theirs for _, theirs in runs)
                text += f"  llama-quantize {theirs:6.1f} s"
                report.figure(f"{kind}, llama-quantize", {"seconds": round(theirs, 2)})
            report.say(text)
            report.aim(f"{kind}, worker, MB", largest / MB, most=(SLACK + PER_THREAD * threads) / MB)
    report.finish()


if __name__ == "__main__":
    main()
