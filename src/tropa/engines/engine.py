"""What the runners know of an engine: how to start it, and how to tell it from another."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tropa.engines.launch import Launch

# GNU OpenMP threads spin while they wait for each other, and two busy runners on the same cores then crawl.
# About 300 turns cost one runner alone nothing and leave the cores to the other (measured: docs/engines.md).
# LLVM's OpenMP has another name for it, in milliseconds.
QUIET_THREADS = {"GOMP_SPINCOUNT": "300", "KMP_BLOCKTIME": "0"}


@dataclass(frozen=True, slots=True)
class Command:
    """A process to start: arguments, and what its environment has beyond ours."""

    argv: tuple[str, ...]
    environment: dict[str, str]


class Engine(Protocol):
    """A way to get a llama-server process for a model. All of them speak the same HTTP API."""

    @property
    def name(self) -> str:
        """Short and readable: `xllamacpp 2026.10.11549`, or the path of an executable."""
        ...

    @property
    def file(self) -> Path:
        """The file whose change makes it another engine."""
        ...

    def command(self, launch: Launch) -> Command:
        """The process that serves `launch` and dies with this process."""
        ...

    def listing(self) -> Command:
        """The process that prints which devices the engine can use (see `engines.listing`)."""
        ...


def environment(launch: Launch) -> dict[str, str]:
    """Variables that every engine gets. What the user set for OpenMP wins: it was set on purpose."""
    env = {name: value for name, value in QUIET_THREADS.items() if name not in os.environ}
    env.update(launch.environment)
    if launch.address.api_key:
        env["LLAMA_API_KEY"] = launch.address.api_key  # not an argument: those can be read by everyone
    return env


def guarded(argv: tuple[str, ...]) -> tuple[str, ...]:
    """`argv` run so that it cannot outlive this process (see `engines.guard`)."""
    guard = str(Path(__file__).with_name("guard.py"))
    mode = () if sys.platform == "linux" else ("--watch",)
    return (sys.executable, "-I", "-S", guard, *mode, str(os.getpid()), *argv)
