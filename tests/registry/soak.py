"""Pulls that are interrupted at random bytes, again and again, until the model is here.

    python -m tests.registry.soak --pulls 500 [--seed N]

Each pull is broken three to eight times before it may end, each time in one of three ways: its process is killed, its
connections are cut, the server is gone. After every break the store is looked at: no blob may have a name that is not
its digest's, and no model may be there. In the end the model is whole, and its manifest the registry's bytes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.registry.debian import docker_registry
from tests.registry.faults import Faulty, faulty
from tests.registry.web import Ask, Reply
from tests.support.processes import until
from tropa.library import manifest
from tropa.library.digest import Digest
from tropa.library.library import Library
from tropa.library.name import Name

BREAKS = ("killed", "cut", "gone")
SIZE = 400_009


@dataclass
class Figures:
    pulls: int = 0
    breaks: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    fetched: int = 0  # bytes of blobs that came over the wire
    needed: int = 0


class Spoiler:
    """Lets so many bytes of blobs through, then breaks off: this answer in the middle, and all that follow."""

    def __init__(self, proxy: Faulty, figures: Figures) -> None:
        self._lock = threading.Lock()
        self._figures = figures
        self._left: int | None = None
        self._gone = False
        self.spent = threading.Event()
        proxy.spoil = self

    def allow(self, count: int | None, *, gone: bool = False) -> None:
        with self._lock:
            self._left, self._gone = count, gone
            self.spent.clear()

    def __call__(self, ask: Ask, reply: Reply) -> Reply:
        with self._lock:
            if ask.method == "GET" and "/blobs/" in ask.path and reply.status in (200, 206):
                length = len(reply.body)
                if self._left is not None and length > self._left:
                    reply.cut, self._left = self._left, 0
                    length = reply.cut
                    self.spent.set()
                elif self._left is not None:
                    self._left -= length
                self._figures.fetched += length
            if self._gone and self._left == 0:
                reply.cut = 0
        return reply


@dataclass(frozen=True)
class Model:
    weights: bytes
    manifest: bytes


def soak(pulls: int, seed: int, folder: Path) -> Figures:
    figures = Figures()
    chance = random.Random(seed)
    puller = Puller(folder)
    try:
        with docker_registry(folder / "registry") as upstream, faulty(upstream) as proxy:
            spoiler = Spoiler(proxy, figures)
            name, model = f"{proxy.host}/soak/model", _published(folder, proxy, chance)
            figures.fetched = 0
            for number in range(pulls):
                root = folder / f"store{number}"
                _interrupted(root, name, puller, model, spoiler, chance, figures)
                figures.pulls += 1
                figures.needed += SIZE
                shutil.rmtree(root)
    finally:
        puller.close()
    return figures


def _published(folder: Path, proxy: Faulty, chance: random.Random) -> Model:
    from tests.registry.conftest import add_model
    from tropa.registry.registry import Registry

    library = Library(folder / "publisher")
    weights = chance.randbytes(SIZE)
    data = add_model(
        library, f"{proxy.host}/soak/model", (manifest.MODEL, weights), (manifest.SYSTEM, b"go on")
    )
    client = Registry(library)
    for _ in client.push(f"{proxy.host}/soak/model"):
        pass
    client.close()
    return Model(weights, data)


class Puller:
    """The process that pulls, in children that can be killed."""

    def __init__(self, folder: Path) -> None:
        here = Path(__file__).parents[2]
        environ = {"HOME": str(folder), "PATH": os.defpath, "PYTHONPATH": f"{here / 'src'}:{here}"}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("interrupted.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._news = self._process.stdin, self._process.stdout
        self.told: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def start(self, root: Path, name: str) -> None:
        self.told.clear()
        self._orders.write(f"{root} {name}\n")
        self._orders.flush()
        until(lambda: self._said("pid"), "it has begun")

    @property
    def moving(self) -> bool:
        return self._said("pulling") is not None

    @property
    def over(self) -> bool:
        return self._said("ended") is not None

    def kill(self) -> None:
        if not self.over:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(self._said("pid") or 0), signal.SIGKILL)

    def end(self) -> int:
        until(lambda: self.over, f"it ends; so far {self.told}", within=60)
        return int(self._said("ended") or 0)

    def close(self) -> None:
        self._orders.close()
        self._process.wait()
        self._reader.join()
        self._news.close()

    def _said(self, word: str) -> str | None:
        """What followed the word."""
        return next((line.removeprefix(word).strip() for line in [*self.told] if line.startswith(word)), None)

    def _read(self) -> None:
        for line in self._news:
            self.told.append(line)


def _interrupted(
    root: Path,
    name: str,
    puller: Puller,
    model: Model,
    spoiler: Spoiler,
    chance: random.Random,
    figures: Figures,
) -> None:
    for _ in range(chance.randint(3, 8)):
        how = chance.choice(BREAKS)
        spoiler.allow(chance.randrange(SIZE // 4), gone=how == "gone")
        puller.start(root, name)
        if how == "killed":
            # At a byte of the network's, or at a moment of its own.
            if chance.random() < 0.5:
                until(lambda: puller.moving or puller.over, "bytes come")
                time.sleep(chance.random() * 0.01)
            else:
                until(lambda: spoiler.spent.is_set() or puller.over, "so many bytes came")
            puller.kill()
        status = puller.end()
        figures.breaks[how] += 1
        if status not in (0, 3, -9):
            figures.wrong.append(f"ended with {status}: {puller.told}")
        _judge(root, name, model, status == 0, figures)
        if status == 0:
            return
    spoiler.allow(None)
    puller.start(root, name)
    if puller.end() != 0:
        figures.wrong.append(f"never ended well: {puller.told}")
    _judge(root, name, model, True, figures)


def _judge(root: Path, name: str, model: Model, success: bool, figures: Figures) -> None:
    library = Library(root)
    if library.store.blobs.folder.exists():
        for path in library.store.blobs.folder.iterdir():
            if len(path.name) == 71 and Digest.of(path.read_bytes()).file_name != path.name:
                figures.wrong.append(f"{path.name} is not what its name says")
    found = library.store.find(Name.parse(name))
    if found is None:
        if success:
            figures.wrong.append("it succeeded, and there is no model")
        return
    if found.path.read_bytes() != model.manifest:
        figures.wrong.append("the manifest is not the registry's")
    blob = library.store.blobs.path(Digest.of(model.weights))
    if not blob.exists() or blob.read_bytes() != model.weights:
        figures.wrong.append("a model is visible whose weights are not whole")
    if success and [path for path in library.store.blobs.folder.iterdir() if "partial" in path.name]:
        figures.wrong.append("a partial file was left")


def main() -> int:
    arguments = argparse.ArgumentParser(description="Pulls interrupted at random bytes")
    arguments.add_argument("--pulls", type=int, default=500)
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    given = arguments.parse_args()
    print(f"seed {given.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="tropa-soak-") as folder:
        figures = soak(given.pulls, given.seed, Path(folder))
    print(
        f"{figures.pulls} pulls in {time.monotonic() - began:.0f} s, broken {dict(figures.breaks)}; fetched "
        f"{figures.fetched / figures.needed:.2f} times what was needed; wrong: {figures.wrong[:10] or 'nothing'}"
    )
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
