"""Waiting for what other processes do: for the event itself where there is one, else by looking often."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import psutil

STEP = 0.01


def patience(seconds: float) -> float:
    """A limit that holds on a machine of our own; on a crowded one each step takes its turn among the others."""
    waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * max(1.0, waiting)


def until(condition: Callable[[], object], what: str, within: float = 20.0) -> None:
    """Return as soon as `condition` holds. `what` says what did not happen if it never does."""
    end = time.monotonic() + patience(within)
    while not condition():
        assert time.monotonic() < end, f"not within {within} s: {what}"
        time.sleep(STEP)


async def soon(condition: Callable[[], object], what: str, within: float = 20.0) -> None:
    """`until`, with the event loop running meanwhile."""
    end = time.monotonic() + patience(within)
    while not condition():
        assert time.monotonic() < end, f"not within {within} s: {what}"
        await asyncio.sleep(STEP)


def descendants(pid: int | None = None) -> set[psutil.Process]:
    """All that a process (this one) started, and what those started. Not those that only wait to be reaped."""
    try:
        found = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return set()
    return {process for process in found if alive(process)}


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def gone(process: psutil.Process, within: float) -> bool:
    """Whether the process ends in time, be it our child or not."""
    end = time.monotonic() + patience(within)
    while alive(process):
        if time.monotonic() > end:
            return False
        time.sleep(STEP)
    return True
