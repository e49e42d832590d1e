"""One engine process, owned by the task that started it.

A child is started, asked to stop and waited for here and nowhere else. Its output is kept line by line, since
the last lines are what explains a failed load. The end of the process is noticed by waiting for the process
itself: its output pipe can stay open behind it (a grandchild may hold it), so an end of output proves nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Callable

from tropa.engines.engine import Command

KEPT_LINES = 400
LINE_LIMIT = 64 << 10  # bytes
STOP_GRACE = 2.0  # seconds between asking and killing
READ_PAUSE = 0.1  # seconds between two looks at what a child writes
OUTPUT_GRACE = 0.5  # seconds for the last lines to arrive after the end


class Child:
    """A running process in a session of its own. Make one with `start`."""

    def __init__(self, process: asyncio.subprocess.Process, output: _Output, lifeline: int) -> None:
        self._process = process
        self._output = output
        self._lifeline = lifeline
        self.exited = asyncio.Event()
        self._waiting = asyncio.create_task(self._wait())

    @classmethod
    async def start(cls, command: Command, on_line: Callable[[str], None] | None = None) -> Child:
        """Start `command`; `on_line` sees every line of its output. Raises OSError if it can't be started."""
        out_read, out_write = os.pipe()
        in_read, in_write = os.pipe()  # its end tells the guard that we are gone, where the kernel can't
        output = _Output(out_read, on_line)
        try:
            process = await asyncio.create_subprocess_exec(
                *command.argv,
                stdin=in_read,
                stdout=out_write,
                stderr=out_write,
                env=os.environ | command.environment,
                start_new_session=True,
            )
        except BaseException:
            output.close()
            os.close(in_write)
            raise
        finally:
            os.close(out_write)
            os.close(in_read)
        return cls(process, output, in_write)

    @property
    def lines(self) -> deque[str]:
        """The last lines of its output."""
        return self._output.lines

    @property
    def last_output(self) -> float:
        """When it last said something, by the monotonic clock."""
        return self._output.last

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status; negative: the signal that ended it; None: still running."""
        return self._process.returncode

    def ending(self) -> str:
        """How it ended, in words: `exit status 1`, `signal: killed`."""
        status = self.status
        if status is None:
            return "still running"
        if status >= 0:
            return f"exit status {status}"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = str(-status)
        return f"signal: {name}"

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """Ask, then insist; returns when the whole group is gone. May be called again, and after the end."""
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await self.exited.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
        await self.exited.wait()

    def unhurried(self) -> None:
        """From now on its output is read with pauses: an engine at work writes some lines per request, and each would
        wake us on a core that it computes on."""
        self._output.pace(slow=True)

    async def kill(self) -> None:
        """End the whole group at once, and wait for it."""
        self._signal(signal.SIGKILL)
        await self.exited.wait()

    def _signal(self, number: signal.Signals) -> None:
        """To the whole group. Not after the end: the number may by then belong to somebody else."""
        if self.exited.is_set():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: the latter, of zombies
            os.killpg(self._process.pid, number)

    async def _wait(self) -> None:
        await self._process.wait()
        # Even after a polite end: a grandchild of the group may live on, hold memory and our pipe.
        self._signal(signal.SIGKILL)
        os.close(self._lifeline)
        self._output.pace(slow=False)  # what it wrote last is wanted now
        with contextlib.suppress(TimeoutError):  # the last lines say why it ended
            async with asyncio.timeout(OUTPUT_GRACE):
                await self._output.ended.wait()
        self._output.close()
        self.exited.set()


class _Output:
    """Cuts a child's output into lines. Of a line without end only the last 64 KiB are kept.

    Reads the pipe as the event loop finds it readable. A transport would do that too, but has to be waited for,
    and who is cancelled while waiting loses either the pipe or the process.
    """

    def __init__(self, pipe: int, on_line: Callable[[str], None] | None) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.last = time.monotonic()
        self.ended = asyncio.Event()
        self._pipe = pipe
        self._on_line = on_line
        self._tail = b""
        self._pause: asyncio.TimerHandle | None = None
        self._paced = False
        os.set_blocking(pipe, False)
        self._listen()

    def close(self) -> None:
        """Read no more, whoever may still hold the other end."""
        if self.ended.is_set():
            return
        self.ended.set()
        if self._pause:
            self._pause.cancel()
        asyncio.get_running_loop().remove_reader(self._pipe)
        os.close(self._pipe)
        if self._tail:
            self._keep(self._tail)

    def pace(self, *, slow: bool) -> None:
        """Read with pauses, or at once what there is."""
        self._paced = slow
        if not slow and self._pause and not self.ended.is_set():
            self._pause.cancel()
            self._listen()

    def _listen(self) -> None:
        asyncio.get_running_loop().add_reader(self._pipe, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._pipe, LINE_LIMIT)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        if self._paced and len(data) < LINE_LIMIT:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._pipe)
            self._pause = loop.call_later(READ_PAUSE, self._listen)
        self.last = time.monotonic()
        *whole, tail = (self._tail + data).split(b"\n")
        self._tail = tail[-LINE_LIMIT:]
        for line in whole:
            self._keep(line)

    def _keep(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        self.lines.append(text)
        if self._on_line:
            self._on_line(text)
