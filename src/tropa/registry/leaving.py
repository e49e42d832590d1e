"""Whether those who wanted something have gone. The threads that work for them look here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tropa.registry.errors import Left


class Leaving:
    """Set once, from any thread. Whoever waits for a network is woken by what it registered."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._interrupts: set[Callable[[], None]] = set()

    @property
    def left(self) -> bool:
        return self._event.is_set()

    def leave(self) -> None:
        with self._lock:
            self._event.set()
            interrupts = [*self._interrupts]
        for interrupt in interrupts:
            interrupt()

    def check(self) -> None:
        """Raises Left."""
        if self._event.is_set():
            raise Left

    def sleep(self, seconds: float) -> None:
        """Raises Left as soon as they go."""
        if self._event.wait(seconds):
            raise Left

    @contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """Inside, `interrupt` is called when they go, from the thread in which they do."""
        with self._lock:
            self._interrupts.add(interrupt)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._interrupts.discard(interrupt)
