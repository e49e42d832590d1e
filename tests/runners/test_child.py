from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress

import psutil
import pytest

from tests.support.processes import alive, descendants, gone, soon
from tropa.engines.engine import Command
from tropa.runners.child import KEPT_LINES, LINE_LIMIT, Child

pytestmark = [
    pytest.mark.asyncio(loop_factories=["uvloop", "asyncio"]),
    pytest.mark.usefixtures("no_child_left"),
]


def python(code: str, **environment: str) -> Command:
    return Command((sys.executable, "-I", "-S", "-c", code), environment)


SLEEP = "import time; time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); {SLEEP}"


async def line(child: Child, text: str) -> None:
    await soon(lambda: text in child.lines, f"the line {text!r}")


async def test_its_output_is_kept_line_by_line() -> None:
    seen: list[str] = []
    code = "import sys; print('one', flush=True); sys.stderr.write('two\\nthree')"
    child = await Child.start(python(code), seen.append)
    await child.exited.wait()
    assert list(child.lines) == ["one", "two", "three"]
    assert seen == list(child.lines)


async def test_only_the_last_lines_are_kept() -> None:
    child = await Child.start(python("for i in range(5000): print(i)"))
    await child.exited.wait()
    assert list(child.lines) == [str(i) for i in range(5000 - KEPT_LINES, 5000)]


async def test_a_line_without_end_does_not_fill_the_memory() -> None:
    child = await Child.start(python("import sys; sys.stdout.write('x' * 5_000_000 + 'end')"))
    await child.exited.wait()
    assert len(child.lines) == 1
    assert len(child.lines[0]) <= 2 * LINE_LIMIT
    assert child.lines[0].endswith("xend")


async def test_bytes_that_are_no_text_do_no_harm() -> None:
    child = await Child.start(python(r"import os; os.write(1, b'\xff\xfe\n\x00ok\n')"))
    await child.exited.wait()
    assert [text.strip("\0") for text in child.lines] == ["\ufffd\ufffd", "ok"]


async def test_it_sees_our_environment_and_what_was_added() -> None:
    child = await Child.start(
        python("import os; print(os.environ['ADDED'], 'PATH' in os.environ)", ADDED="yes")
    )
    await child.exited.wait()
    assert list(child.lines) == ["yes True"]


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("pass", 0, "exit status 0"),
        ("raise SystemExit(3)", 3, "exit status 3"),
        ("import os; os.kill(os.getpid(), 9)", -9, "signal: SIGKILL"),
        ("import os; os.abort()", -6, "signal: SIGABRT"),
    ],
)
async def test_its_end_is_told_in_words(code: str, status: int, words: str) -> None:
    child = await Child.start(python(code))
    assert child.ending() == "still running"
    await child.exited.wait()
    assert (child.status, child.ending()) == (status, words)


async def test_what_cannot_be_started_is_an_error_and_leaves_nothing_open() -> None:
    before = open_files()
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            await Child.start(Command(("/no/such/program",), {}))
    assert open_files() <= before + 1  # the loop may have opened one for itself


async def test_its_end_is_noticed_while_a_grandchild_holds_its_output() -> None:
    """Waiting for the end of the output would be deaf for as long as the grandchild lives."""
    grandchild = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}], start_new_session=True)"
    )
    child = await Child.start(python(f"{grandchild}; print('started', flush=True); {SLEEP}"))
    await line(child, "started")
    (orphan,) = psutil.Process(child.pid).children()
    try:
        began = time.monotonic()
        os.kill(child.pid, signal.SIGKILL)
        await child.exited.wait()
        assert time.monotonic() - began < 5
        assert child.ending() == "signal: SIGKILL"
        assert alive(orphan)  # in a session of its own: not of our group, so not ours to end
    finally:
        orphan.kill()
        assert gone(orphan, 5)


async def test_stopping_asks_first() -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(4)); print('up', flush=True); "
    )
    code += SLEEP
    child = await Child.start(python(code))
    await line(child, "up")
    await child.stop()
    assert child.status == 4


async def test_stopping_insists_where_asking_does_not_help() -> None:
    child = await Child.start(python(DEAF))
    await line(child, "up")
    await child.stop(grace=0.1)
    assert child.ending() == "signal: SIGKILL"


async def test_stopping_ends_a_child_that_is_frozen() -> None:
    child = await Child.start(python(DEAF))
    await line(child, "up")
    os.kill(child.pid, signal.SIGSTOP)
    await child.stop(grace=0.1)
    assert child.ending() == "signal: SIGKILL"


async def test_stopping_after_the_end_and_twice_at_once_does_no_harm() -> None:
    child = await Child.start(python(SLEEP))
    await asyncio.gather(child.stop(), child.stop(), child.kill())
    await child.stop()
    await child.kill()
    assert child.status is not None


@pytest.mark.parametrize("how", ["stop", "kill", "crash", "polite end"])
async def test_the_whole_group_goes(how: str) -> None:
    """Something that a wrapper script started, and that would not go by itself."""
    code = (
        f"import signal, subprocess, sys; subprocess.Popen([sys.executable, '-c', {DEAF!r}])\n"
        f"signal.signal(signal.SIGUSR1, lambda *_: sys.exit()); print('ready', flush=True); {SLEEP}"
    )
    child = await Child.start(python(code))
    await line(child, "up")
    await line(child, "ready")
    family = [psutil.Process(child.pid), *psutil.Process(child.pid).children()]
    assert len(family) == 2
    match how:
        case "stop":
            await child.stop(grace=0.5)
        case "kill":
            await child.kill()
        case "crash":
            os.kill(child.pid, signal.SIGSEGV)
        case "polite end":
            os.kill(child.pid, signal.SIGUSR1)
    await child.exited.wait()
    assert all(gone(process, 2) for process in family)


async def test_a_cancelled_stop_can_be_called_again() -> None:
    child = await Child.start(python(DEAF))
    await line(child, "up")
    stopping = asyncio.create_task(child.stop(grace=60))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await child.stop(grace=0)
    assert child.status is not None


@pytest.mark.parametrize("steps", range(6))
async def test_a_start_cancelled_at_any_moment_leaves_no_process_and_no_pipe(steps: int) -> None:
    first = await Child.start(python("pass"))  # what the loop opens for itself, it opens now
    await first.exited.wait()
    before, pipes = descendants(), open_files()
    starting = asyncio.create_task(Child.start(python(SLEEP)))
    for _ in range(steps):
        await asyncio.sleep(0)
    starting.cancel()
    with suppress(asyncio.CancelledError):
        await (await starting).kill()
    await soon(lambda: descendants() == before, "the end of what was being started", within=5)
    await soon(lambda: open_files() == pipes, "the end of its pipes", within=5)


def open_files() -> int:
    return psutil.Process().num_fds() if hasattr(psutil.Process, "num_fds") else 0
