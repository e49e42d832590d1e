"""Is what we predict of a model's memory, from its header alone, what its process then takes?

For random-weight models of several shapes and sizes: the prediction, what the process holds after loading and one full
batch (resident memory, file pages included), and the engine's own figures for weights, cache and compute buffers.
`promised` is what the scheduler reserves for the same load, less the room for a prompt cache that has not grown yet.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from tests.gguf.engine import Engine, running
from tests.support import models

from benchmarks.support.report import Report, arguments
from tropa.gguf import read
from tropa.gguf.memory import Load, predict
from tropa.runners.demand import demand_of, maps
from tropa.scheduler.demand import need

MIB = 1 << 20
MAKERS = {"llama": models.llama, "gemma2": models.gemma2, "chatglm": models.chatglm, "bert": models.bert}
SIZES: dict[str, dict[str, int]] = {
    "1M": {"layers": 4, "width": 128, "heads": 4, "kv_heads": 2, "feed_forward": 384, "vocab": 2048},
    "10M": {"layers": 6, "width": 320, "heads": 5, "kv_heads": 5, "feed_forward": 960, "vocab": 8192},
    "100M": {"layers": 12, "width": 768, "heads": 12, "kv_heads": 4, "feed_forward": 2048, "vocab": 16384},
    "300M": {"layers": 24, "width": 1024, "heads": 16, "kv_heads": 4, "feed_forward": 2816, "vocab": 32000},
    "1B": {"layers": 22, "width": 2048, "heads": 32, "kv_heads": 4, "feed_forward": 5632, "vocab": 32000},
}
QUICK = ("1M", "10M")
TYPES = {"1M": ("F16",), "10M": ("F16", "Q8_0"), "100M": ("Q8_0", "Q4_0"), "300M": ("Q4_0",), "1B": ("Q4_0",)}
VARIANTS: tuple[dict[str, Any], ...] = (
    {"slots": 4},
    {"context": 8192},
    {"batch": 2048},
    {"cache_type": "q8_0"},
    {"mmap": False},
)
VARIED = "10M"
AIM = 10.0  # per cent


@dataclass
class Case:
    """One model and how it is loaded."""

    family: str
    size: str
    type: str
    launch: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        knobs = " ".join(f"{key}={value}" for key, value in self.launch.items())
        return f"{self.family} {self.size} {self.type} {knobs}".rstrip()

    @property
    def embedding(self) -> bool:
        return self.family == "bert"

    def make(self, path: Path) -> Path:
        shape = dict(SIZES[self.size])
        if self.embedding:
            del shape["kv_heads"]
            shape["context"] = 8192 if "context" in self.launch or "batch" in self.launch else 512
        return MAKERS[self.family](path, type=self.type, **shape)


def cases(quick: bool) -> Iterator[Case]:
    for size, types in TYPES.items():
        if quick and size not in QUICK:
            continue
        for family in MAKERS:
            for kind in types:
                yield Case(family, size, kind)
    for family in MAKERS:
        for variant in VARIANTS:
            yield Case(family, VARIED, "Q8_0", variant)


def main() -> None:
    args = arguments(__doc__, rounds=1, quick=1)
    report = Report("memory_prediction", {"context": 2048, "embedding context": 512, "batch": 512})
    report.say(f"{'':44} predicted  measured  error   promised  error    by part: predicted/the engine's log")
    worst: dict[str, float] = {"predicted": 0.0, "promised": 0.0}
    for case in cases(args.quick):
        if args.only not in case.name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = measure(case, case.make(Path(folder) / "model.gguf"))
        errors = {kind: 100 * (found[kind] / found["measured"] - 1) for kind in worst}
        for kind, error in errors.items():
            worst[kind] = max(worst[kind], abs(error))
        parts = "  ".join(
            f"{part} {found[part]:.1f}/{found[f'{part} by the engine']:.1f}"
            for part in ("weights", "cache", "compute")
        )
        report.say(
            f"{case.name:44} {found['predicted']:9.1f} {found['measured']:9.1f} {errors['predicted']:+5.1f} % "
            f"{found['promised']:9.1f} {errors['promised']:+5.1f} %   {parts} MiB"
        )
        report.figure(case.name, {name: round(value, 2) for name, value in found.items()})
    report.aim("worst error of a prediction, per cent", worst["predicted"], most=AIM)
    report.aim("worst error of what the scheduler promises, per cent", worst["promised"], most=AIM)
    report.finish()


def measure(case: Case, path: Path) -> dict[str, float]:
    """MiB: predicted and measured, in whole and by part."""
    launch = {"context": 512 if case.embedding else 2048, "slots": 1, "batch": 512} | case.launch
    if case.embedding:
        launch["batch"] = launch["context"] = max(launch["batch"], launch["context"])
    gguf = read(path)
    launch.setdefault("mmap", maps(path))
    load = Load(**launch)
    predicted = predict(gguf, load)
    demand = demand_of(path, cache_type=load.cache_type)
    promised = need(demand, load.context, load.slots, load.batch).host(0, False) - demand.prompt_cache
    with running(path, embedding=case.embedding, **launch) as engine:
        work_through_one_batch(engine, case, load)
        held = psutil.Process(engine.pid).memory_info().rss
        log = engine.log.read_text(errors="replace")
    logged = {
        "weights": _logged(log, "model"),
        "cache": _logged(log, "KV"),
        "compute": _logged(log, "compute"),
    }
    parts = {
        "weights": predicted.weights.mapped + predicted.weights.own,
        "cache": predicted.cache,
        "compute": predicted.compute,
        "predicted": predicted.loaded,
        "promised": promised,
        "measured": held,
        "parameters": gguf.parameter_count,
    }
    return {name: value / MIB for name, value in parts.items()} | {
        f"{name} by the engine": value for name, value in logged.items()
    }


def work_through_one_batch(engine: Engine, case: Case, load: Load) -> None:
    count = min(load.batch, load.context) - 8
    tokens = [300 + i % 90 for i in range(count)]
    if case.embedding:
        engine.ask("/embedding", {"content": tokens})
    else:
        engine.ask("/completion", {"prompt": tokens, "n_predict": 4})


def _logged(log: str, kind: str) -> float:
    return sum(float(size) for size in re.findall(rf"{kind} buffer size\s*=\s*([\d.]+) MiB", log))


if __name__ == "__main__":
    main()
