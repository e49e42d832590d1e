"""A program that does things to a store and is killed on the way. Run by `test_crash.py`; never imported.

    crashing.py every <scenario> <template store> <workplace>     kill at every step in turn, print what is wrong
    crashing.py together <store> <rounds> <seed>                  several at once on one store; the parent judges

Killed means SIGKILL, before the step is taken: no `finally`, no flush. A step is any call that changes the disk.
What the kernel was told it keeps, so flushing to the disk itself is left out here: it only costs time.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.gguf.raw import STRING, U32, Raw, RawTensor, key
from tests.library.making import broken, files, gguf, make, unused, upload
from tropa.errors import TropaError
from tropa.library.bundled import Bundled
from tropa.library.check import Check
from tropa.library.digest import Digest
from tropa.library.library import Library
from tropa.library.name import Name
from tropa.library.prune import PARTIAL_KEPT, YOUNG, prune
from tropa.library.repair import repair

STEPS = (
    "write", "fsync", "rename", "replace", "unlink", "remove", "mkdir", "rmdir", "link", "utime", "chmod", "open",
)  # fmt: skip


def library(root: Path) -> Library:
    return Library(root / "models", Bundled(Name.parse("tiny"), root / "tiny.gguf"))


def furnish(root: Path) -> None:
    """The store every scenario starts from."""
    (root / "tiny.gguf").write_bytes(gguf(tensors=3))
    at = library(root)
    make(at, "keep", system="stay as you are")
    make(at, "old", gguf(tensors=2), system="go", parameters={"seed": 1})
    at.store.blobs.put_bytes(b"unused")
    for path in at.store.blobs.folder.iterdir():
        os.utime(path, (time.time() - 2 * YOUNG,) * 2)


def spoil(root: Path) -> None:
    """One of everything that a repair mends, on top of a furnished store."""
    blobs = library(root).store.blobs
    make(library(root), "spoilt", gguf(tensors=5), system="spell me right")
    damaged = blobs.path(Digest.of(gguf(tensors=5)))
    damaged.write_bytes(b"damaged")
    renamed = blobs.path(Digest.of(b"spell me right"))
    renamed.rename(renamed.with_name(renamed.name.replace("-", ":")))
    twice = blobs.path(Digest.of(b"stay as you are"))
    twice.with_name(twice.name.replace("-", ":")).write_bytes(twice.read_bytes())
    (blobs.folder / ".tropa-left").write_bytes(b"left")
    (blobs.folder / f"{damaged.name}-partial").write_bytes(b"half")
    (library(root).store.manifests / ".tropa-half").write_bytes(b"{")
    for path in blobs.folder.iterdir():
        os.utime(path, (time.time() - 2 * PARTIAL_KEPT,) * 2)


def adopt(at: Library) -> object:
    """A file that never changes becomes a blob by its second name, one that may by a copy."""
    assert at.bundled is not None
    at.store.blobs.adopt(at.bundled.path, immutable=True)
    own = at.store.root.parent / "own.gguf"
    own.write_bytes(gguf(tensors=6))
    return at.store.blobs.adopt(own)


def join(at: Library) -> object:
    """A model that comes in two files."""
    parts = {f"m-0000{number + 1}-of-00002.gguf": upload(at, part(number, 2)) for number in range(2)}
    return make(at, "new", files=parts, system="hello")


def part(number: int, count: int) -> bytes:
    """One file of a split model, with one of its tensors."""
    own = {"split.no": number, "split.count": count, "split.tensors.count": count}
    keys = [key("general.architecture", STRING, "llama")] * (number == 0)
    keys += [key(name, U32, value) for name, value in own.items()]
    return Raw(keys, [RawTensor(f"t{number}", (8, 4), 0, 0)], bytes(128)).encode()


def remove_and_restore(at: Library) -> object:
    at.delete("tiny")
    return at.restore(Name.parse("tiny"))


def mend(at: Library) -> None:
    check = Check(at)
    check.run()
    repair(check)


SCENARIOS: dict[str, Callable[[Library], object]] = {
    "put": lambda at: at.store.blobs.put(None, [b"new" * 10, b"bytes"]),
    "create": lambda at: make(at, "new", gguf(tensors=4), system="hello", parameters={"seed": 7}),
    "create over": lambda at: make(at, "old", gguf(tensors=4), system="hello"),
    "create from": lambda at: make(at, "new", base="old", system="hello"),
    "create from bundled": lambda at: make(at, "new", base="tiny", system="hello"),
    "create from parts": join,
    "adopt": adopt,
    "copy": lambda at: at.copy("keep", "me/new:x"),
    "copy over": lambda at: at.copy("keep", "old"),
    "copy bundled": lambda at: at.copy("tiny", "new"),
    "delete": lambda at: at.delete("old"),
    "delete bundled": lambda at: at.delete("tiny"),
    "delete bundled, restore": remove_and_restore,
    "prune": lambda at: at.open(),
    "repair": mend,
}


def kill_at(step: int) -> None:
    """Die before the n-th step from now. A write gets half of its bytes out first."""
    left = step

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any, **kwargs: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                if name == "write":
                    call(args[0], bytes(args[1])[: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return counting

    for name in STEPS:
        setattr(os, name, counted(name, getattr(os, name)))


def every(scenario: str, template: Path, work: Path) -> dict[str, Any]:
    """Kill the scenario at its first step, its second, … until it comes to its end."""
    do = SCENARIOS[scenario]
    wrong: list[str] = []
    for step in range(1, 1000):
        root = work / str(step)
        shutil.copytree(template, root)
        child = os.fork()
        if child == 0:
            at = library(root)
            kill_at(step)
            do(at)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status):
            wrong.append(f"step {step}: failed by itself")
        judged = judge_repair if scenario == "repair" else judge
        wrong += [f"step {step}: {each}" for each in judged(root, template)]
        shutil.rmtree(root)
        if not os.WIFSIGNALED(status):
            return {"steps": step - 1, "wrong": wrong}
    raise AssertionError("it never ends")


def judge(root: Path, template: Path) -> list[str]:
    """What is wrong with a store after a crash, and after the start that follows it."""
    at = library(root)
    wrong = broken(at.store)
    before = {path: data for path, data in files(template / "models").items() if "keep" in path}
    wrong += [f"{path} changed" for path, data in before.items() if files(root / "models").get(path) != data]
    for model in at.models():
        wrong += [f"{model.name}: {problem}" for problem in model.problems]
    prune(at.store, now=lambda: time.time() + 2 * YOUNG)
    wrong += [f"after the next start: {each}" for each in broken(at.store) + unused(at.store)]
    make(at, "keep2", base="keep")  # and life goes on
    return wrong + [f"afterwards: {each}" for each in broken(at.store)]


def judge_repair(root: Path, template: Path) -> list[str]:
    """What is wrong after a repair that was killed, and another that was not."""
    at = library(root)
    wrong = [] if at.find("keep") and at.find("old") else ["a sound model is lost"]
    copies = [path for path in (root / "models").rglob("sha256*") if path.is_file()]
    if b"damaged" not in {path.read_bytes() for path in copies}:
        wrong.append("the damaged bytes are lost")
    mend(at)
    found = [(each.kind.value, [name.short for name in each.models]) for each in Check(at).run().findings]
    if found != [("missing", ["spoilt:latest"]), ("kept aside", [])]:
        wrong.append(f"a second repair leaves {found}")
    at.store.blobs.put_bytes(gguf(tensors=5))
    at.find("spoilt")
    return wrong + judge(root, template)


def together(root: Path, rounds: int, seed: int) -> dict[str, Any]:
    """One of several processes that do everything at once to few names and few blobs; one is often pruning."""
    chance = random.Random(seed)
    at = library(root)
    tasks: list[Callable[[str, str], object]] = [
        lambda name, other: make(at, name, gguf(tensors=chance.randint(1, 3)), system=chance.choice("xyz")),
        lambda name, other: make(at, name, base=other, system=chance.choice("xyz")),
        lambda name, other: at.copy(other, name),
        lambda name, other: at.copy("tiny", name),
        lambda name, other: at.delete(name),
        lambda name, other: at.models(),
        lambda name, other: prune(at.store, now=lambda: time.time() + 2 * YOUNG),
    ]
    done = 0
    for _ in range(rounds):
        # Lost races are errors of those who lost them, and nothing else.
        with contextlib.suppress(TropaError):
            chance.choice(tasks)(chance.choice("abc"), chance.choice("abc"))
            done += 1
        assert not at.store.scan().warnings
    return {"done": done}


def main(command: str, *args: str) -> None:
    os.fsync = lambda fd: None
    match command:
        case "every":
            result = every(args[0], Path(args[1]), Path(args[2]))
        case "together":
            result = together(Path(args[0]), int(args[1]), int(args[2]))
        case _:
            raise SystemExit(f"unknown: {command}")
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
