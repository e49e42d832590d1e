"""Short texts turned into vectors: singly, in lists, and by many callers at once, against the bare engine.

The bare engine is given the same requests (`alike`), and besides the ideal: lists of 64, two of them under way. Who
sends one text after another can be no faster than the engine is with one text; what many callers send should come
near the ideal, for the server puts them together. The model is a random BERT of the size of all-MiniLM-L6-v2 (22M
parameters), the texts have eight words.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tests.support.models import bert

from benchmarks.support import http
from benchmarks.support.bare import bare_engine
from benchmarks.support.figures import Spread, interleaved
from benchmarks.support.home import home
from benchmarks.support.models import CACHE
from benchmarks.support.report import Report, arguments
from benchmarks.support.server import tropa_server

MODEL = "bert22m"
CASES = ((1, 1), (8, 1), (64, 1), (1, 32))  # texts in a request, callers
IDEAL = (64, 2)
AIM = 0.9
WORDS = [
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "was",
    "for",
    "that",
    "on",
    "as",
    "with",
    "by",
    "are",
    "this",
    "from",
]

Ask = Callable[[list[str]], Any]


def main() -> None:
    args = arguments(__doc__, rounds=3, quick=1)
    amount = 256 if args.quick else 1000
    report = Report("embeddings", {"rounds": args.rounds, "texts": amount})
    texts = _texts(amount)
    with home() as place, tropa_server(place) as server:
        server.create(MODEL, _model())
        server.call("POST", "/api/embed", {"model": MODEL, "input": "the", "keep_alive": "1h"})
        launch, environment = server.launch(place.path / "bare.sock")
        with bare_engine(launch, environment) as bare:
            through = partial(_tropa, server.port)
            directly = partial(_bare, bare.socket)
            for size, callers in CASES:
                name = f"{size} in a request, {callers} callers"
                ask = partial(_rate, texts=texts, size=size, callers=callers)
                pairs = interleaved(args.rounds, _ignoring(ask, through), _ignoring(ask, directly))
                ideal = Spread.of(_rate(directly, texts, *IDEAL) for _ in range(args.rounds))
                _tell(report, name, pairs, ideal, shared=size * callers >= IDEAL[0] // 2)
    report.finish()


def _tell(
    report: Report, name: str, pairs: list[tuple[float, float]], ideal: Spread, *, shared: bool
) -> None:
    ours, theirs = Spread.of(pair[0] for pair in pairs), Spread.of(pair[1] for pair in pairs)
    alike = Spread.of(mine / other for mine, other in pairs)
    report.say(
        f"{name}: {ours.text()} / {theirs.text()} texts/s; of the ideal: {ours.median / ideal.median:.2f}"
    )
    report.figure(
        name,
        {
            "tropa_texts_s": ours.record(),
            "bare_texts_s": theirs.record(),
            "ideal_texts_s": ideal.record(),
            "alike": alike.record(),
        },
    )
    against, ratio = ("ideal", ours.median / ideal.median) if shared else ("same requests", alike.median)
    report.aim(f"{name}: share of the engine's rate ({against})", ratio, least=AIM)


def _ignoring(rate: Callable[[Ask], float], ask: Ask) -> Callable[[int], float]:
    """The texts are the same in every round: embeddings are kept nowhere."""
    return lambda _: rate(ask)


def _rate(ask: Ask, texts: list[str], size: int, callers: int) -> float:
    """Texts per second."""
    groups = [texts[start : start + size] for start in range(0, len(texts), size)]
    began = time.perf_counter()
    with ThreadPoolExecutor(callers) as pool:
        for _ in pool.map(ask, groups):
            pass
    return len(texts) / (time.perf_counter() - began)


def _tropa(port: int, texts: list[str]) -> None:
    answer = http.call(port, "POST", "/api/embed", {"model": MODEL, "input": texts})
    assert len(answer["embeddings"]) == len(texts)


def _bare(socket: Path, texts: list[str]) -> None:
    answer = http.call(socket, "POST", "/v1/embeddings", {"input": texts})
    assert len(answer["data"]) == len(texts)


def _texts(amount: int) -> list[str]:
    dice = random.Random(1)
    return [" ".join(dice.choice(WORDS) for _ in range(8)) for _ in range(amount)]


def _model() -> Path:
    path = CACHE / "bert-22m.gguf"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        shape = {"layers": 6, "width": 384, "heads": 12, "feed_forward": 1536, "vocab": 30522}
        bert(path.with_suffix(".part"), **shape).replace(path)
    return path


if __name__ == "__main__":
    main()
