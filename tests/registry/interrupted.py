"""Pulls in processes of their own, to be killed. Run by the soak; never imported.

Reads lines `<model folder> <name>`. For each it forks a child that pulls, and says `pid <n>`, `pulling` when the first
bytes are here, and `ended <status>`: 0 if the model is here, 3 for an error that was told before, -9 if it was killed.
Starting Python anew each time would cost more than all else.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from tropa.errors import TropaError
from tropa.library.library import Library
from tropa.registry.limits import Limits
from tropa.registry.registry import Registry

LIMITS = Limits(connect=5, stall=5, tries=3, backoff=0.01, longest=0.05, streams=4, part=60_000, saved=2_000)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def pull(folder: str, name: str) -> int:
    client = Registry(Library(Path(folder)), LIMITS)
    began = False
    try:
        for status in client.pull(name):
            if status.completed and not began:
                began = True
                say("pulling")
    except TropaError as error:
        say(f"{type(error).__name__}: {error}")
        return 3
    return 0


def main() -> None:
    for line in sys.stdin:
        folder, name = line.split()
        child = os.fork()
        if child == 0:
            try:
                os._exit(pull(folder, name))
            except BaseException:  # noqa: BLE001 - the child must not go on as its parent
                traceback.print_exc()
                os._exit(1)
        say(f"pid {child}")
        status = os.waitpid(child, 0)[1]
        say(f"ended {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
