"""Work that does not know how to pause, told about by a generator that does."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator
from typing import TypeVar

from tropa.library.status import Status

EVERY = 0.1
"""Seconds between two tellings of the same thing."""
T = TypeVar("T")
Tell = Callable[[str, int, int], None]
"""What is being done, how much of it, of how much."""


class Abandoned(BaseException):
    """Nobody waits for the work any more. Not an Exception: it is not for the work to catch."""


def in_background(work: Callable[[Tell], T]) -> Generator[Status, None, T]:
    """Run `work` in a thread, yielding what it tells and returning what it returns or raising what it raises.

    Dropping the generator stops the work at its next telling, and waits for that.
    """
    told: queue.SimpleQueue[Status | None] = queue.SimpleQueue()
    result: list[T] = []
    failure: list[BaseException] = []
    abandoned = threading.Event()
    last = ("", 0.0)

    def tell(status: str, completed: int, total: int) -> None:
        nonlocal last
        if abandoned.is_set():
            raise Abandoned
        now = time.monotonic()
        if last[0] != status or now - last[1] >= EVERY or completed >= total:
            last = status, now
            told.put(Status(status, total=total, completed=completed))

    def run() -> None:
        try:
            result.append(work(tell))
        except BaseException as exc:  # noqa: BLE001 - raised again where it is waited for
            failure.append(exc)
        finally:
            told.put(None)

    thread = threading.Thread(target=run, name="create", daemon=True)
    thread.start()
    try:
        while (status := told.get()) is not None:
            yield status
    finally:
        abandoned.set()
        thread.join()
    if failure:
        raise failure[0]
    return result[0]
