"""Work that blocks, one step after another in threads, and that ends when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Generator
from typing import TypeVar

T = TypeVar("T")


async def in_threads(steps: Generator[T, None, None]) -> AsyncGenerator[T, None]:
    """The same items. When this is closed the work is told so, in a thread as well: to end may mean waiting for a
    child, or removing a large file. A step that is under way is not interrupted; it is the last.
    """
    lock = threading.Lock()

    def step() -> T | None:
        with lock:
            return next(steps, None)

    def end() -> None:
        with lock:
            steps.close()

    try:
        while (item := await asyncio.to_thread(step)) is not None:
            yield item
    finally:
        await asyncio.shield(asyncio.to_thread(end))
