"""Which engine is used: the first that has proved itself."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support import llama_server
from tests.support.bundled import TINY
from tropa.engines.engine import Engine
from tropa.engines.executable import ExecutableEngine
from tropa.engines.wheel import WheelEngine
from tropa.runners import choice as module
from tropa.runners.choice import EngineChoice, NoEngine, fingerprint
from tropa.runners.rundir import RunDir

pytestmark = pytest.mark.usefixtures("no_child_left")

GARBAGE = """\
import socketserver, sys, os
path = sys.argv[sys.argv.index("--host") + 1]
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.rfile.readline()
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n[]")
socketserver.UnixStreamServer(path, Handler).serve_forever()
"""
MUTE = """\
import json, socketserver, sys
path, alias = (sys.argv[sys.argv.index(flag) + 1] for flag in ("--host", "--alias"))
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        question = self.rfile.readline()
        answer = {"data": [{"id": alias}]} if b"models" in question else ANSWER
        body = json.dumps(answer).encode()
        self.wfile.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
socketserver.UnixStreamServer(path, Handler).serve_forever()
"""


@pytest.fixture
def executable(place: Path) -> Callable[[str], ExecutableEngine]:
    """An engine that is a script, counting in `probes` how often it was started."""

    def make(script: str, name: str = "broken-server") -> ExecutableEngine:
        path = place / name
        path.write_text(f"#!/bin/sh\necho started >> {place}/probes\n{script}\n")
        path.chmod(0o755)
        return ExecutableEngine(path)

    return make


def python(code: str, place: Path) -> str:
    import sys

    (place / "engine.py").write_text(code)
    return f'exec {sys.executable} -I {place}/engine.py "$@"'


def probes(place: Path) -> int:
    return len((place / "probes").read_text().splitlines()) if (place / "probes").exists() else 0


@pytest.fixture
async def choose(rundir: RunDir, place: Path) -> AsyncIterator[Callable[..., EngineChoice]]:
    made: list[EngineChoice] = []

    def choose(*candidates: Engine) -> EngineChoice:
        made.append(EngineChoice([*candidates], TINY, rundir, place / "state" / "engines.json"))
        return made[-1]

    yield choose
    for choice in made:
        await choice.close()


async def test_the_first_that_works_is_used(choose: Callable[..., EngineChoice], place: Path) -> None:
    mine = ExecutableEngine(llama_server.install(place))
    assert await choose(mine, WheelEngine()).engine() == mine


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("kill -ILL $$", "signal: SIGILL"),
        ("kill -SEGV $$", "signal: SIGSEGV"),
        ("echo 'error: cannot open libcuda.so'; exit 127", "exit status 127: error: cannot open libcuda.so"),
        ("exit 0", "exit status 0"),
        (GARBAGE, "something else than an engine answers"),
        (MUTE.replace("ANSWER", "{}"), "it generated None"),
        (MUTE.replace("ANSWER", "[]"), "it generated None"),
        (MUTE.replace("ANSWER", '{"tokens_predicted": 1}'), "asked for 4 tokens, it generated 1"),
    ],
    ids=[
        "illegal instruction",
        "crash",
        "missing library",
        "ends",
        "garbage",
        "empty",
        "list",
        "too few tokens",
    ],
)
async def test_one_that_does_not_work_is_set_aside_and_the_next_is_used(
    choose: Callable[..., EngineChoice],
    executable: Callable[[str], ExecutableEngine],
    place: Path,
    script: str,
    complaint: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = executable(python(script, place) if "import" in script else script)
    with caplog.at_level(logging.ERROR, "tropa.engines"):
        assert await choose(broken, WheelEngine()).engine() == WheelEngine()
    assert str(broken.path) in caplog.text
    assert "is set aside" in caplog.text
    assert complaint in caplog.text


async def test_one_that_hangs_is_set_aside_and_asked_again_next_time(
    choose: Callable[..., EngineChoice],
    executable: Callable[[str], ExecutableEngine],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Perhaps the machine was only busy."""
    hanging = executable("sleep 600")
    await choose(WheelEngine()).engine()  # known from now on: the limit below is for the other
    monkeypatch.setattr(module, "PROBE_LIMIT", 0.3)
    assert await choose(hanging, WheelEngine()).engine() == WheelEngine()
    assert await choose(hanging, WheelEngine()).engine() == WheelEngine()
    assert probes(place) == 2
    assert "is set aside: no answer within" in caplog.text
    assert "remembered" not in caplog.text


async def test_one_that_hangs_when_asked_for_its_devices_is_ended(
    choose: Callable[..., EngineChoice], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = llama_server.install(place, "real")
    path = place / "slow-lister"
    path.write_text(f'#!/bin/sh\ncase "$1" in --list-devices) sleep 600;; esac\nexec {real} "$@"\n')
    path.chmod(0o755)
    await choose(WheelEngine()).engine()
    monkeypatch.setattr(module, "PROBE_LIMIT", 3.0)
    assert await choose(ExecutableEngine(path), WheelEngine()).engine() == WheelEngine()


async def test_a_file_that_is_gone_is_set_aside(choose: Callable[..., EngineChoice], place: Path) -> None:
    assert await choose(ExecutableEngine(place / "removed"), WheelEngine()).engine() == WheelEngine()


async def test_if_none_works_all_complaints_are_told(
    choose: Callable[..., EngineChoice], executable: Callable[..., ExecutableEngine]
) -> None:
    one, other = executable("exit 3", "one"), executable("exit 4", "other")
    with pytest.raises(NoEngine) as caught:
        await choose(one, other).engine()
    message = str(caught.value)
    assert message.startswith("no engine works on this machine: ")
    assert f"{one.path}: llama-server process has terminated: exit status 3" in message
    assert f"{other.path}: llama-server process has terminated: exit status 4" in message


async def test_what_was_found_out_is_remembered(
    choose: Callable[..., EngineChoice], executable: Callable[..., ExecutableEngine], place: Path
) -> None:
    broken = executable("exit 3")
    for _ in range(3):
        assert await choose(broken, WheelEngine()).engine() == WheelEngine()
    assert probes(place) == 1
    entries = json.loads((place / "state" / "engines.json").read_text())
    assert {entry["complaint"][:12] for entry in entries.values()} == {"", "llama-server"}


async def test_a_changed_file_is_probed_anew(
    choose: Callable[..., EngineChoice], executable: Callable[..., ExecutableEngine], place: Path
) -> None:
    assert await choose(executable("exit 3"), WheelEngine()).engine() == WheelEngine()
    mended = executable(f'exec {llama_server.install(place)} "$@"')
    assert await choose(mended, WheelEngine()).engine() == mended


async def test_a_changed_machine_is_another_place(
    choose: Callable[..., EngineChoice],
    executable: Callable[..., ExecutableEngine],
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = executable("exit 3")
    here = fingerprint(broken)
    monkeypatch.setattr(module, "_processor", lambda: "another")
    assert fingerprint(broken) != here


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"x": 5}', b"\xff"])
async def test_a_damaged_memory_is_no_memory(
    choose: Callable[..., EngineChoice], place: Path, content: bytes
) -> None:
    (place / "state").mkdir()
    (place / "state" / "engines.json").write_bytes(content)
    assert await choose(WheelEngine()).engine() == WheelEngine()


@pytest.mark.parametrize("libraries", [None, 5, "cuda", [5, "cuda"]])
async def test_an_entry_that_was_edited_is_read_as_far_as_it_makes_sense(
    choose: Callable[..., EngineChoice], place: Path, libraries: object
) -> None:
    (place / "state").mkdir()
    entry = {fingerprint(WheelEngine()): {"complaint": "", "libraries": libraries}}
    (place / "state" / "engines.json").write_text(json.dumps(entry))
    choice = choose(WheelEngine())
    assert await choice.engine() == WheelEngine()
    assert choice.libraries <= {"cuda"}


async def test_without_a_place_to_remember_it_works_all_the_same(
    choose: Callable[..., EngineChoice], place: Path
) -> None:
    (place / "state").write_text("a file where the folder should be")
    assert await choose(WheelEngine()).engine() == WheelEngine()


async def test_many_may_ask_at_once_and_one_may_leave(
    choose: Callable[..., EngineChoice], executable: Callable[..., ExecutableEngine], place: Path
) -> None:
    choice = choose(executable(f'exec {llama_server.install(place)} "$@"'))
    asking = [asyncio.create_task(choice.engine()) for _ in range(10)]
    await asyncio.sleep(0)
    asking[0].cancel()
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert len(set(found[1:])) == 1
    assert probes(place) == 2  # the probe, and the list of its devices


async def test_after_a_failure_who_asks_again_has_another_try(
    choose: Callable[..., EngineChoice], executable: Callable[..., ExecutableEngine], place: Path
) -> None:
    choice = choose(executable("exit 3"))
    for _ in range(2):
        with pytest.raises(NoEngine):
            await choice.engine()
    executable(f'exec {llama_server.install(place)} "$@"')
    await choice.engine()


async def test_closing_ends_a_probe(
    choose: Callable[..., EngineChoice], executable: Callable[..., ExecutableEngine]
) -> None:
    choice = choose(executable("sleep 600"))
    asking = asyncio.create_task(choice.engine())
    await asyncio.sleep(0.05)
    await choice.close()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_probe_leaves_no_record_and_no_socket(
    choose: Callable[..., EngineChoice], rundir: RunDir
) -> None:
    await choose(WheelEngine()).engine()
    assert list(rundir.path.iterdir()) == []
