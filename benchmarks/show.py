"""What it takes to `show` a model with a vocabulary of 256k words: `python -m benchmarks.show [--quick]`.

Its header is 11 MiB: words and merges to pass over one by one, scores and types. Four ways to read it, in one run:
through a running server for the first time, through it again, in this process, and with the `gguf` package, which the
engine's own tools use. Every round has a file of its own, so that a first time is one.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from tests.gguf.raw import ARRAY, F32, I32, STRING, U32, Raw, RawTensor, key, string

from benchmarks.support.home import Home, home
from benchmarks.support.report import Report, arguments
from benchmarks.support.server import tropa_server
from gguf import GGUFReader
from tropa.gguf import read

WORDS = 1 << 18
AIM_MS = 50.0


def main() -> None:
    args = arguments(__doc__, rounds=9, quick=2)
    report = Report("show", {"rounds": args.rounds, "words": WORDS})
    with home() as place:
        files = [_large(place.path / f"large-{number}.gguf", number) for number in range(args.rounds)]
        report.figure("header_bytes", files[0].stat().st_size)
        measured: dict[str, list[float]] = {}
        if args.only in "server":
            measured |= _served(place, files)
        if args.only in "process":
            measured["in this process"] = [_ms(partial(read, file)) for file in files]
        if args.only in "gguf package":
            # Once is enough: it takes many seconds.
            measured["gguf package"] = [_ms(partial(GGUFReader, file)) for file in files[:1]]
        for name, times in measured.items():
            report.figure(f"{name}, ms", [round(each, 1) for each in times])
            report.say(f"  {name:22} median {median(times):8.1f} ms   most {max(times):8.1f} ms")
        for name in ("server, first", "server, again", "in this process"):
            if name in measured:
                report.aim(f"{name}, ms", median(measured[name]), most=AIM_MS)
        if {"in this process", "gguf package"} <= measured.keys():
            ratio = median(measured["gguf package"]) / median(measured["in this process"])
            report.figure("times as fast as the gguf package", round(ratio, 1))
            report.say(f"  the gguf package takes {ratio:.0f} times as long as reading in this process")
    report.finish()


def _served(place: Home, files: list[Path]) -> dict[str, list[float]]:
    """Models made by one server and shown by the next, which has read none of them."""
    with tropa_server(place) as server:
        for file in files:
            server.create(file.stem, file)
    with tropa_server(place) as server:
        names = [file.stem for file in files]
        server.call("GET", "/api/tags")  # it has looked at the store, as servers do

        def show(name: str) -> Callable[[], object]:
            return lambda: server.call("POST", "/api/show", {"model": name})

        return {
            "server, first": [_ms(show(name)) for name in names],
            "server, again": [_ms(show(name)) for name in names],
        }


def _ms(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def _large(path: Path, number: int) -> Path:
    """A header like those of the largest vocabularies, over a tensor of no importance."""
    path.write_bytes(
        Raw(
            keys=[
                key("general.architecture", STRING, "llama"),
                key("general.name", STRING, f"large {number}"),
                key("llama.block_count", U32, 1),
                key("tokenizer.ggml.tokens", ARRAY, (STRING, [f"word{n}" for n in range(WORDS)])),
                key("tokenizer.ggml.merges", ARRAY, (STRING, [f"wor d{n}" for n in range(WORDS)])),
                _zeros("tokenizer.ggml.scores", F32),
                _zeros("tokenizer.ggml.token_type", I32),
            ],
            tensors=[RawTensor("token_embd.weight", (32, 4))],
            data=bytes(512),
        ).encode()
    )
    return path


def _zeros(name: str, kind: int) -> bytes:
    """An array of so many numbers, all 0: made at once."""
    return string(name) + struct.pack("<IIQ", ARRAY, kind, WORDS) + bytes(4 * WORDS)


if __name__ == "__main__":
    main()
