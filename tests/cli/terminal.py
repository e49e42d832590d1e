"""Programs on a terminal of their own: a pseudo-terminal, keys in, everything shown out."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from types import TracebackType
from typing import Self

# The terminal has to be the session's own, or Ctrl-C would reach nobody.
_OWN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """`tropa WORDS...` on a terminal of `columns`. `seen` is all that it wrote."""

    def __init__(self, *words: str, columns: int = 80, term: str = "xterm") -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OWN_TERMINAL, sys.executable, "-m", "tropa", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env={**os.environ, "TERM": term},
        )
        os.close(theirs)
        self.seen = ""
        self._read_to = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def press_until(self, keys: str, text: str) -> None:
        """Presses again, as a person would, if nothing comes of it: between a prompt and the wait for a key there is a
        moment in which Python's line editor takes note of Ctrl-C and acts on it only at the next key."""
        for _ in range(20):
            self.press(keys)
            end = time.monotonic() + 1
            while text not in self.seen[self._read_to :] and self._more(end - time.monotonic()):
                pass
            if text in self.seen[self._read_to :]:
                break
        self.expect(text)

    def expect(self, text: str) -> str:
        """Waits until `text` is written, after what was expected before. Returns what came in between."""
        give_up = time.monotonic() + 20
        while (at := self.seen.find(text, self._read_to)) < 0:
            if not self._more(give_up - time.monotonic()):
                raise AssertionError(f"no {text!r} in {self.seen[self._read_to :]!r}")
        between, self._read_to = self.seen[self._read_to : at], at + len(text)
        return between

    def status(self) -> int:
        """Waits for the end."""
        while self._more(20):
            pass
        return self.process.wait(20)

    def _more(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._ours], [], [], max(seconds, 0))
        try:
            data = os.read(self._ours, 1 << 16) if ready else b""
        except OSError:  # Linux: nobody is at the other end any more
            data = b""
        self.seen += data.decode("utf-8", "replace")
        return bool(data)
